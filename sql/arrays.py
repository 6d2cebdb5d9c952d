"""Arrays as PostgreSQL reads them ("Arrays", Array Input Syntax): one text for a whole column of a batch.

The driver sends every parameter as text; psycopg's own way of writing lists asks for a dumper and a regular expression for each element,
which for a batch of events costs ten times as much as writing the array here.
"""

from collections.abc import Iterable
from datetime import datetime


def text_array(values: Iterable[str]) -> str:
    """For text[]. Any character; one that PostgreSQL cannot hold is refused when the parameter is sent."""
    return "{" + ",".join([f'"{_escaped(value)}"' for value in values]) + "}"


def bytes_array(values: Iterable[bytes]) -> str:
    """For bytea[], in its hex format."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


def time_array(values: Iterable[datetime]) -> str:
    """For timestamptz[]. Aware times."""
    return "{" + ",".join([f'"{value.isoformat()}"' for value in values]) + "}"


def number_array(values: Iterable[int | None]) -> str:
    """For bigint[]."""
    return "{" + ",".join(["NULL" if value is None else str(int(value)) for value in values]) + "}"


def boolean_array(values: Iterable[bool]) -> str:
    """For boolean[]."""
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
