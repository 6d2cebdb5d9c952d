"""Recorded calls beside the patterns of the same kind: what must be the same in both."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from gateway.calls.phones import is_internal
from tester.patterns.pattern import Pattern
from tests.recordings import CORPUS, Recording, recordings
from tests.tester.pattern_play import WAYS, cast_of, script_of

# A listener build marks whatever it posts after a call that a CRM began: it tells nothing of the kind of call.
_LEAKY = frozenset({"ExternalInitiated"})


@attrs.frozen(kw_only=True)
class HangupShape:
    """What a hangup says: `phone` and `extensions` as people, A, B … the extensions and X, Y … the outside numbers as they turn up."""

    call_type: str
    call_status: str
    phone: str
    extensions: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Shape:
    """What two calls of one kind have in common. `fields`: by kind of event, each set of fields that occurs."""

    kinds: frozenset[str]
    fields: Mapping[str, frozenset[frozenset[str]]]
    hangups: tuple[HangupShape, ...]


def recorded() -> dict[str, Recording]:
    """The recordings by the key of their pattern; none where the folder is absent."""
    return {recording.name: recording for recording in recordings(CORPUS)}


def shape_of_recording(recording: Recording) -> Shape:
    """The shape of a recorded call."""
    return _shape((webhook.kind, webhook.body) for webhook in recording.webhooks)


def shape_of_pattern(pattern: Pattern, *, with_optional: bool = True) -> Shape:
    """The shape of a generated call."""
    way = next(way for way in WAYS if not way.linkedid)
    return _shape((one.kind, one.body) for one in script_of(pattern, cast_of(pattern, with_optional=with_optional), way).posted)


def _shape(webhooks: Iterable[tuple[str, Mapping[str, Any]]]) -> Shape:
    fields: dict[str, set[frozenset[str]]] = {}
    hangups: list[HangupShape] = []
    people: dict[str, str] = {}
    for kind, body in webhooks:
        fields.setdefault(kind, set()).add(frozenset(body) - _LEAKY)
        if kind == "hangup":
            hangups.append(
                HangupShape(
                    call_type=str(body["CallType"]),
                    call_status=str(body["CallStatus"]),
                    phone=_person(body["Phone"], people),
                    extensions=tuple(_person(number, people) for number in body["Extensions"]),
                )
            )
    return Shape(kinds=frozenset(fields), fields={kind: frozenset(found) for kind, found in fields.items()}, hangups=tuple(hangups))


def _person(number: str, people: dict[str, str]) -> str:
    if not number:
        return ""
    first = "A" if is_internal(number) else "X"
    known = sum(1 for name in people.values() if (name < "X") == (first < "X"))
    return people.setdefault(number, chr(ord(first) + known))
