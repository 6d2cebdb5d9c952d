"""Calls among colleagues and to a department: 3-1 … 3-4."""

from typing import Final

from tester.patterns.pattern import Pattern

INTERNAL: Final[tuple[Pattern, ...]] = ()
