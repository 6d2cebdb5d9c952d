"""The queries: plain SQL files, one query a name.

A file of `sql/queries` holds sections that begin with `-- name: <name>`; what stands before the first belongs to the file. The comments of
a query (locks, indexes) stay in its text: PostgreSQL skips them, and whoever reads the server's log finds the query by them.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_SECTION = re.compile(r"^-- name: (?P<name>\w+)$", re.MULTILINE)


def load_queries() -> Mapping[str, str]:
    """All queries by name. Raises ValueError when a name is taken twice or a query is empty."""
    queries: dict[str, str] = {}
    for file in sorted(files("sql").joinpath("queries").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        for name, text in sections(file.read_text(encoding="utf-8")):
            if name in queries:
                raise ValueError(f"{file.name}: the query {name} exists already")
            queries[name] = text
    return MappingProxyType(queries)


def sections(text: str) -> list[tuple[str, str]]:
    """The named queries of one file, in order."""
    found = list(_SECTION.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    named: list[tuple[str, str]] = []
    for match, end in zip(found, ends, strict=True):
        query = text[match.end() : end].strip()
        if not any(line.strip() and not line.startswith("--") for line in query.splitlines()):
            raise ValueError(f"the query {match['name']} is empty")
        named.append((match["name"], f"-- {match['name']}\n{query}"))
    return named
