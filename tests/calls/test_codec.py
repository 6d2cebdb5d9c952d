"""The dirt of the wire, one kind after another."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.calls import events
from gateway.calls.channels import ChannelKind, neighbour, parse_channel, parse_unique_id
from gateway.calls.codec import decode, decode_text

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MINSK = ZoneInfo("Europe/Minsk")


def decoded(kind: str, body: dict[str, Any]) -> Any:
    return decode(kind, body, event_id=1, at=AT, zone=MINSK)


@pytest.mark.parametrize(
    ("value", "wanted"), [(0, 0), ("0", 0), ("2", 2), (2, 2), ("", None), (None, None), ([2], None), ("²", None), (10**9, None)]
)
def test_a_call_type_may_be_a_number_or_a_string(value: object, wanted: int | None) -> None:
    assert decoded("hangup", {"CallType": value}).call_type == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (["150", "151"], ("150", "151")),
        ("150&151", ("150", "151")),
        (["152&151&153"], ("152", "151", "153")),
        (["SIP/150", "SIP/151"], ("150", "151")),
        ([""], ()),
        (None, ()),
        (150, ("150",)),
        ([["150"], {"a": 1}, "151"], ("151",)),
        (["150", "150"], ("150",)),
        ({"150": 1}, ()),
    ],
)
def test_extensions_come_in_many_shapes(value: object, wanted: tuple[str, ...]) -> None:
    assert decoded("dial", {"Extensions": value}).extensions == wanted


@pytest.mark.parametrize("value", ["", "<unknown>", "Anonymous", "0001363", None, {}, "\x00", "9" * 500])
def test_a_number_that_is_nobodys_is_unknown(value: object) -> None:
    assert decoded("start", {"Phone": value}).phone == ""


@pytest.mark.parametrize("value", ["+375290001234", "375290001234", "-375290001234", 375290001234])
def test_a_number_is_its_digits(value: object) -> None:
    assert decoded("start", {"Phone": value}).phone == "375290001234"


def test_times_are_the_hosts_local_time() -> None:
    hangup = decoded("hangup", {"StartTime": "2026-11-23 11:00:05", "EndTime": "2026-02-31 10:00:00", "DateReceived": ""})
    assert hangup.start_time == datetime(2026, 11, 23, 8, 0, 5, tzinfo=UTC)
    assert hangup.end_time is None
    assert hangup.date_received is None


@pytest.mark.parametrize("value", [True, "true", 1, "1"])
def test_the_external_flag_is_read_however_it_is_written(value: object) -> None:
    assert decoded("bridge", {"ExternalInitiated": value}).external_initiated


def test_a_parking_lot_is_a_holding_bridge() -> None:
    assert decoded("bridge_create", {"BridgeTechnology": "holding_bridge"}).holding


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '"x"', "{" * 5000])
def test_a_text_that_is_no_object_makes_an_empty_event(text: str) -> None:
    event = decode_text("hangup", text, event_id=1, at=AT, zone=MINSK)
    assert isinstance(event, events.Hangup)
    assert event.unique_id == ""


def test_a_number_with_thousands_of_digits_does_no_harm() -> None:
    event = decode_text("start", '{"UniqueId": ' + "1" * 6000 + ', "Phone": 375290001234}', event_id=1, at=AT, zone=MINSK)
    assert isinstance(event, events.Start)
    assert (event.unique_id, event.phone) == ("", "375290001234")


def test_an_unknown_kind_is_no_event() -> None:
    assert decoded("nonsense", {}) is None


@pytest.mark.parametrize(
    ("name", "kind", "peer"),
    [
        ("SIP/151-0000003f", ChannelKind.EXTENSION, "151"),
        ("PJSIP/1510-0000003f", ChannelKind.EXTENSION, "1510"),
        ("SIP/0001363-0000003f", ChannelKind.TRUNK, "0001363"),
        ("SIP/some-provider-0000003f", ChannelKind.TRUNK, "some-provider"),
        ("Local/375290001111@179e93af-0000000b;1", ChannelKind.LOCAL, "375290001111"),
        ("Local/152@dialexecute-00000000;2", ChannelKind.LOCAL, "152"),
        ("Local/152", ChannelKind.UNKNOWN, ""),
        ("", ChannelKind.UNKNOWN, ""),
        ("<unknown>", ChannelKind.UNKNOWN, ""),
    ],
)
def test_a_channel_name_tells_who_it_is(name: str, kind: ChannelKind, peer: str) -> None:
    channel = parse_channel(name)
    assert (channel.kind, channel.peer) == (kind, peer)


def test_the_two_ends_of_a_local_pair_share_its_name() -> None:
    one, two = parse_channel("Local/152@dialexecute-00000000;1"), parse_channel("Local/152@dialexecute-00000000;2")
    assert one.pair == two.pair
    assert (one.half, two.half) == (1, 2)
    assert one.is_consultation


def test_unique_ids_are_ordered_by_creation_not_by_text() -> None:
    early, late = parse_unique_id("1757840723.9"), parse_unique_id("1757840723.10")
    assert early is not None
    assert late is not None
    assert early < late
    assert neighbour("1757840723.9", 1) == "1757840723.10"
    assert parse_unique_id("x") is None
    assert neighbour("x", 1) == ""


def test_numbers_and_times_of_those_who_pass_webhooks_on_are_read_too() -> None:
    body = {"CallerIDNum": "+375290001234", "ConnectedLineNum": "<unknown>", "InternalCode": 151, "INCALL": "0001363"}
    dial = decoded("dial", body)
    assert (dial.caller, dial.connected, dial.internal_code, dial.trunk) == ("375290001234", "", "151", "0001363")
    assert decoded("hangup", {**body, "Trunk": "0001366"}).trunk == "0001366"
    times = {"StartTime": "2026-11-23T08:00:05Z", "EndTime": "2026-11-23T11:00:05", "DateReceived": "2026-11-23Tomorrow"}
    hangup = decoded("hangup", times)
    assert hangup.start_time == hangup.end_time == datetime(2026, 11, 23, 8, 0, 5, tzinfo=UTC)
    assert hangup.date_received is None
