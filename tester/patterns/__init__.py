"""The kinds of calls that can be played, by their number."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tester.patterns.busy import BUSY
from tester.patterns.follow_me import FOLLOW_ME
from tester.patterns.incoming import INCOMING
from tester.patterns.internal import INTERNAL
from tester.patterns.mobile import MOBILE
from tester.patterns.outgoing import OUTGOING
from tester.patterns.pattern import Pattern


def _number(pattern: Pattern) -> tuple[int, ...]:
    return tuple(int(part) for part in pattern.key.split("-"))


PATTERNS: Final[Mapping[str, Pattern]] = MappingProxyType(
    {pattern.key: pattern for pattern in sorted((*OUTGOING, *INCOMING, *MOBILE, *BUSY, *FOLLOW_ME, *INTERNAL), key=_number)}
)
"""All of them, in the order in which they are offered."""
