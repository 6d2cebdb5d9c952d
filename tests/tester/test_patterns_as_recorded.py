"""Each pattern beside the recorded call of its kind. Where they differ on purpose is named here, with the reason."""

from collections.abc import Mapping
from typing import Any

import pytest

from tester.patterns import PATTERNS
from tests.recordings import Recording
from tests.tester.pattern_corpus import recorded, shape_of_pattern, shape_of_recording

RECORDED = {key: recording for key, recording in recorded().items() if key in PATTERNS}
# By the key of the pattern: why it posts other kinds of events, other fields, other hangups than the recorded host did.
OTHER_KINDS: Mapping[str, str] = {}
OTHER_FIELDS: Mapping[str, str] = {}
OTHER_HANGUPS: Mapping[str, str] = {}

pytestmark = pytest.mark.skipif(not RECORDED, reason="the recorded calls are kept outside the project and are not here")


def expect_same(generated: Any, real: Any, why_not: str | None) -> None:
    if why_not is None:
        assert generated == real
    else:
        assert generated != real, f"they are the same, so this is no longer true: {why_not}"


@pytest.mark.parametrize("recording", RECORDED.values(), ids=str)
def test_a_pattern_posts_the_kinds_of_events_that_were_recorded(recording: Recording) -> None:
    generated, real = shape_of_pattern(PATTERNS[recording.name]), shape_of_recording(recording)
    expect_same(generated.kinds, real.kinds, OTHER_KINDS.get(recording.name))


@pytest.mark.parametrize("recording", RECORDED.values(), ids=str)
def test_a_pattern_posts_the_fields_that_were_recorded(recording: Recording) -> None:
    generated, real = shape_of_pattern(PATTERNS[recording.name]).fields, shape_of_recording(recording).fields
    both = sorted(generated.keys() & real.keys())
    expect_same([generated[kind] for kind in both], [real[kind] for kind in both], OTHER_FIELDS.get(recording.name))


@pytest.mark.parametrize("recording", RECORDED.values(), ids=str)
def test_the_hangups_of_a_pattern_say_what_was_recorded(recording: Recording) -> None:
    generated, real = shape_of_pattern(PATTERNS[recording.name]), shape_of_recording(recording)
    expect_same(generated.hangups, real.hangups, OTHER_HANGUPS.get(recording.name))
