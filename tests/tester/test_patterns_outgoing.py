import pytest

from tester.patterns.internal import INTERNAL
from tester.patterns.outgoing import OUTGOING
from tester.patterns.pattern import Pattern
from tests.tester.pattern_play import WAYS, Way, assert_ends_as_promised


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("pattern", [*OUTGOING, *INTERNAL], ids=lambda pattern: pattern.key)
def test_a_pattern_ends_as_it_promises(pattern: Pattern, way: Way) -> None:
    assert_ends_as_promised(pattern, way)
