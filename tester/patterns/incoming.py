"""Incoming calls to a group, with and without a greeting, and in ring steps: 2-1 … 2-4, 2-12."""

from typing import Final

from tester.patterns.pattern import Pattern

INCOMING: Final[tuple[Pattern, ...]] = ()
