"""Incoming calls that are handed on to a follow-me number: 2-23 … 2-30."""

from typing import Final

from tester.patterns.pattern import Pattern

FOLLOW_ME: Final[tuple[Pattern, ...]] = ()
