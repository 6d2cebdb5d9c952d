"""Calls that an extension makes to the outside: 1-1 … 1-11."""

from typing import Final

from tester.patterns.pattern import Pattern

OUTGOING: Final[tuple[Pattern, ...]] = ()
