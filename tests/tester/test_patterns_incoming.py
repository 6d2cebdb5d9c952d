"""Incoming calls of the emulator: what they come to in the chat, and whether their webhooks are those of recorded hosts."""

import pytest

from tester.patterns.incoming import INCOMING
from tester.patterns.mobile import MOBILE
from tester.patterns.pattern import Pattern
from tests.tester.pattern_play import WAYS, Way, assert_ends_as_promised

PATTERNS = {pattern.key: pattern for pattern in (*INCOMING, *MOBILE)}


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=list(PATTERNS))
def test_an_incoming_call_ends_as_its_pattern_promises(pattern: Pattern, way: Way) -> None:
    assert_ends_as_promised(pattern, way)
