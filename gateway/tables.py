"""A table of a TOML file, read strictly: checked values out, everything that is wrong collected, keys nobody asked for told at the end.

A problem is one line that begins with the place of the table. The values of secrets are never part of one.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any, cast

import attrs

LONGEST_TEXT = 256
# Deeper nesting means nothing in a configuration and would exhaust the stack of whoever reads it.
DEEPEST_NESTING = 32
_SHOWN_CHARACTERS = 60

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# A bot token that was put under the wrong key.
_LIKE_A_SECRET = re.compile(r"[0-9]{4,}:[A-Za-z0-9_-]+")

Errors = list[str]
Check = Callable[[str], str | None]
"""What is wanted instead of the value, None when it is good."""


@attrs.define
class Table:
    """One table. `place` names it in problems, which go to `errors`; a wrong value becomes its default, so that reading goes on."""

    values: Mapping[str, Any]
    place: str
    errors: Errors
    asked: set[str] = attrs.field(factory=set[str])

    def fail(self, key: str, problem: str) -> None:
        self.errors.append(f"{self.place}: {key}: {problem}")

    def take(self, key: str) -> Any:
        self.asked.add(key)
        return self.values.get(key)

    def text(
        self,
        key: str,
        default: str = "",
        *,
        required: bool = False,
        secret: bool = False,
        longest: int = LONGEST_TEXT,
        check: Check | None = None,
    ) -> str:
        value = self.take(key)
        if value is None:
            if required:
                self.fail(key, "is missing")
            return default
        if isinstance(value, int) and not isinstance(value, bool):
            example = "" if secret else f', as in {key} = "{value}"'
            self.fail(key, f"must be text, not a number (leading zeros would be lost): put it in quotes{example}")
            return default
        if not isinstance(value, str):
            self.fail(key, f"must be text, not {kind_of(value)}")
            return default
        problem = _text_problem(value, required=required, longest=longest) or (check(value) if check and value else None)
        if problem:
            self.fail(key, problem if secret else f"{problem}, not {shown(value)}" if value else problem)
            return default
        return value

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        return self.text(
            key, default, required=key in self.values, check=lambda value: None if value in choices else f"must be {_any_of(choices)}"
        )

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(key, f"must be true or false, without quotes, not {kind_of(value)}")
            return default
        return value

    def table(self, key: str) -> Mapping[str, Any]:
        value = self.take(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fail(key, f"must be a table, not {kind_of(value)}")
            return {}
        return cast("Mapping[str, Any]", value)

    def tables(self, key: str) -> Iterator[Mapping[str, Any]]:
        value = self.take(key)
        if value is None:
            return
        if not isinstance(value, list):
            self.fail(
                key,
                "is one table, must be a list of them: [[…]] with two brackets"
                if isinstance(value, dict)
                else f"must be tables, not {kind_of(value)}",
            )
            return
        for entry in cast("list[Any]", value):
            if isinstance(entry, dict):
                yield cast("Mapping[str, Any]", entry)
            else:
                self.fail(key, f"must be tables, not {kind_of(entry)}")

    def finish(self) -> None:
        """Every key that was not asked for is an error."""
        for key in self.values:
            if key not in self.asked:
                likely = get_close_matches(key, self.asked, n=1)
                self.errors.append(f"{self.place}: unknown key {shown(key)}" + (f' (is "{likely[0]}" meant?)' if likely else ""))


def json_problems(value: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """What of a value JSON in PostgreSQL cannot hold (dates, infinities, NUL), or nobody should nest so deep. `path` leads to the value."""
    if depth > DEEPEST_NESTING:
        yield f"{shown(path)}: is nested too deep"
        return
    match value:
        case dict():
            for key, inner in cast("dict[str, Any]", value).items():
                inner_path = f"{path}.{key}" if path else key
                if "\x00" in key:
                    yield f"{shown(inner_path)}: the key has a NUL character in it"
                yield from json_problems(inner, inner_path, depth + 1)
        case list():
            for position, inner in enumerate(cast("list[Any]", value)):
                yield from json_problems(inner, f"{path}[{position}]", depth + 1)
        case str() if "\x00" in value:
            yield f"{path}: has a NUL character in it"
        case float() if not isfinite(value):
            yield f"{path}: must be a finite number"
        case None | str() | bool() | int() | float():
            # TOML has no null; what was written with psql may.
            pass
        case _:
            yield f"{path}: is {kind_of(value)}, which has no place here: put it in quotes"


def kind_of(value: Any) -> str:
    """What kind of value this is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def shown(value: str) -> str:
    """A value in quotes, on one line, not too long. Not for secrets; what looks like a bot token in a wrong place is masked too."""
    plain = _LIKE_A_SECRET.sub("***", _CONTROL.sub("?", value))
    return f'"{plain[:_SHOWN_CHARACTERS]}…"' if len(plain) > _SHOWN_CHARACTERS else f'"{plain}"'


def _any_of(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _text_problem(value: str, *, required: bool, longest: int) -> str | None:
    if required and not value.strip():
        return "must not be empty"
    if len(value) > longest:
        return f"must be at most {longest} characters"
    if _CONTROL.search(value):
        return "must have no line breaks or control characters in it"
    if value != value.strip():
        return "must have no space around it"
    return None
