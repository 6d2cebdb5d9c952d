"""A call event that another program posts: `{token, uniqueId, event_type, raw, record_url?, origin?}`. Pure: from its bytes to an event.

`raw` is a webhook of a host, or something like one: programs in between add and leave out fields. The one decoder of webhooks
(`gateway.calls.codec`) reads it; nothing in it is a reason to refuse.
"""

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final, cast

import attrs

from gateway.calls.codec import MAX_FIELD_CHARACTERS, decode
from gateway.calls.envelope import EnvelopeError, read_body
from gateway.calls.events import Dial, Hangup
from gateway.calls.phones import LineRule, parse_line_rule
from gateway.calls.recording import Recording, recording_address
from gateway.calls.report import CallReport, ReportKind
from gateway.calls.reporting import report_of_event
from gateway.errors import GatewayError
from gateway.ports import EnterpriseConfig

# Kept as they are written: a UniqueId 1757840723.10 is not 1757840723.1, a token may be longer than a number is exact.
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str)
_DOWNLOAD: Final = "download"
# As in `IncomingEvent.data_source`.
_LIVE, _RECOVERY = "live", "recovery"
# A recording that became known later is a hangup with its address.
_KINDS: Final = (ReportKind.DIAL, ReportKind.HANGUP)


class InvalidPayload(GatewayError):
    """What was posted is no call event."""


@attrs.frozen(kw_only=True)
class PostedEvent:
    """A dial or a hangup that somebody else has heard. `recording_url` is "" when there is none that can be meant."""

    token: str = attrs.field(repr=False)
    unique_id: str
    kind: ReportKind
    raw: Mapping[str, Any] = attrs.field(repr=False)
    recording_url: str = ""
    is_recovered: bool = False

    @property
    def is_old_news(self) -> bool:
        """A ring that was recovered: it is over, and the hangup that comes with it says everything."""
        return self.is_recovered and self.kind is ReportKind.DIAL

    @property
    def recording(self) -> Recording | None:
        """The recording that is known by the end of the call."""
        if self.kind is not ReportKind.HANGUP or not self.recording_url:
            return None
        return Recording(unique_id=self.unique_id, url=self.recording_url)


def read_fields(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object, numbers as they were written. Raises `InvalidPayload`."""
    try:
        text = read_body(body).text
    except EnvelopeError as exc:
        raise InvalidPayload(str(exc)) from None
    return cast("dict[str, Any]", _DECODER.decode(text))


def read_event(body: bytes) -> PostedEvent:
    """The event of a posted body. Raises `InvalidPayload`."""
    fields = read_fields(body)
    token, unique_id, kind = _text(fields.get("token")), _text(fields.get("uniqueId")), _text(fields.get("event_type"))
    raw = fields.get("raw", {})
    if not token or not unique_id or kind not in _KINDS or not isinstance(raw, dict):
        raise InvalidPayload("token, uniqueId, event_type (dial or hangup) and raw are wanted")
    return PostedEvent(
        token=token,
        unique_id=unique_id,
        kind=ReportKind(kind),
        raw=cast("dict[str, Any]", raw),
        recording_url=recording_address(_text(fields.get("record_url"), longest=2048)),
        is_recovered=fields.get("origin") == _DOWNLOAD,
    )


def report_of_posted(posted: PostedEvent, config: EnterpriseConfig, *, at: datetime, zone: tzinfo) -> CallReport | None:
    """What CRMs are to hear of it; None when it is not about a call with somebody outside.

    As if its host had sent it at `at`; `zone` is that of the host, whose times have none.
    """
    source = _RECOVERY if posted.is_recovered else _LIVE
    body = {**posted.raw, "UniqueId": posted.unique_id}
    event = decode(posted.kind.value, body, event_id=0, at=at, zone=zone, data_source=source)
    assert isinstance(event, Dial | Hangup), "both kinds have a decoder"
    report = report_of_event(event, rules=_rules_of(config))
    if report is None or not posted.recording_url:
        return report
    return attrs.evolve(report, recording_url=posted.recording_url)


def _rules_of(config: EnterpriseConfig) -> dict[str, LineRule]:
    """The rules of the lines. One that cannot be read (the loader refuses those, people with psql do not) is none."""
    rules: dict[str, LineRule] = {}
    for line in config.lines:
        try:
            rule = parse_line_rule(line.incoming_transform)
        except ValueError:
            continue
        if rule is not None:
            rules[line.line_id] = rule
    return rules


def _text(value: object, *, longest: int = MAX_FIELD_CHARACTERS) -> str:
    """A text (numbers are texts here, see `_DECODER`) that is short and printable, else ""."""
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= longest and text.isprintable() else ""
