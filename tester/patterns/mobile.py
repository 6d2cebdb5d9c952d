"""Incoming calls that also ring at a manager's mobile: 2-5 … 2-11, 2-13 … 2-17."""

from typing import Final

from tester.patterns.pattern import Pattern

MOBILE: Final[tuple[Pattern, ...]] = ()
