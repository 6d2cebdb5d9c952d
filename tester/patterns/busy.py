"""Incoming calls that are handed on twice, or to a colleague who is talking: 2-18 … 2-22."""

from typing import Final

from tester.patterns.pattern import Pattern

BUSY: Final[tuple[Pattern, ...]] = ()
