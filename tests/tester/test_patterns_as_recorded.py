"""Each pattern beside the recorded call of its kind: the same kinds of events (whether each occurs, not in which order and how often), in
each of them the same sets of fields, and hangups that say the same of the same people in the same order.
"""

import pytest

from tester.patterns import PATTERNS
from tests.recordings import Recording
from tests.tester.pattern_corpus import recorded, shape_of_pattern, shape_of_recording

RECORDED = {key: recording for key, recording in recorded().items() if key in PATTERNS}

pytestmark = pytest.mark.skipif(not RECORDED, reason="the recorded calls are kept outside the project and are not here")


@pytest.mark.parametrize("recording", RECORDED.values(), ids=str)
def test_a_pattern_posts_the_kinds_of_events_that_were_recorded(recording: Recording) -> None:
    assert shape_of_pattern(PATTERNS[recording.name]).kinds == shape_of_recording(recording).kinds


@pytest.mark.parametrize("recording", RECORDED.values(), ids=str)
def test_a_pattern_posts_the_fields_that_were_recorded(recording: Recording) -> None:
    assert shape_of_pattern(PATTERNS[recording.name]).fields == shape_of_recording(recording).fields


@pytest.mark.parametrize("recording", RECORDED.values(), ids=str)
def test_the_hangups_of_a_pattern_say_what_was_recorded(recording: Recording) -> None:
    assert shape_of_pattern(PATTERNS[recording.name]).hangups == shape_of_recording(recording).hangups
