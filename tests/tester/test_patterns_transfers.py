"""Patterns 2-18 … 2-30 through the pure rooms: each ends as it promises, and its webhooks look like those that hosts sent."""

import pytest

from tester.patterns.busy import BUSY
from tester.patterns.follow_me import FOLLOW_ME
from tester.patterns.pattern import Pattern
from tests.tester.pattern_play import WAYS, Way, assert_ends_as_promised

TRANSFERS = (*BUSY, *FOLLOW_ME)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("pattern", TRANSFERS, ids=lambda pattern: pattern.key)
def test_a_transfer_ends_as_promised(pattern: Pattern, way: Way) -> None:
    assert_ends_as_promised(pattern, way)
