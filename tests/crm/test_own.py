"""The enterprise's own CRM: the event, its signature, what answers mean, and a receiver that trusts nobody."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from gateway.calls.report import CallReport, ReportKind
from gateway.crm.advice import advice_of
from gateway.crm.base import CrmSettingsError, Fault, Outcome, OutcomeClass, Problem
from gateway.crm.http import HttpAnswer
from gateway.crm.own import OwnSettings, event_of, outcome_of, request_of, settings_of, signature
from tests.crm.reports import NOON, PUSH, RUNG, TALKED, URL, VECTOR_SECRET


def settings(url: str = URL, secret: str = VECTOR_SECRET) -> OwnSettings:
    return settings_of({"enabled": True, "url": url, "secret": secret})


# the event


def test_a_dial_says_all_facts_and_null_for_what_is_not_known() -> None:
    assert event_of(RUNG, "0367") == {
        "type": "call.dial",
        "timestamp": "2025-10-01T09:00:00Z",
        "data": {
            "enterprise": "0367",
            "call_id": 7,
            "unique_id": "1759310248.0",
            "direction": "incoming",
            "phone": "+375290001234",
            "line": "0001363",
            "extensions": ["151", "152"],
            "extension": None,
            "mobile": None,
            "transfers": [],
            "started_at": "2025-10-01T09:00:00Z",
            "answered_at": None,
            "ended_at": None,
            "duration_seconds": None,
            "talk_seconds": None,
            "waiting_seconds": None,
            "answered": False,
            "busy": False,
            "recording_url": None,
            "recovered": False,
            "synthetic": False,
        },
    }


def test_a_hangup_happened_when_the_call_ended() -> None:
    event = event_of(TALKED, "0367")
    assert (event["type"], event["timestamp"]) == ("call.hangup", "2025-10-01T09:01:12.500000Z")
    data = event["data"]
    assert (data["answered_at"], data["ended_at"]) == ("2025-10-01T09:00:07Z", "2025-10-01T09:01:12.500000Z")
    assert (data["mobile"], data["transfers"], data["extension"]) == ("+375290000152", ["151", "152"], "152")
    assert (data["duration_seconds"], data["talk_seconds"], data["waiting_seconds"]) == (72, 65, 7)


def test_a_recording_is_the_end_again_with_its_link() -> None:
    late = attrs.evolve(TALKED, kind=ReportKind.RECORDING)
    told, ended = event_of(late, "0367"), event_of(TALKED, "0367")
    assert (told["type"], told["timestamp"], told["data"]) == ("call.recording", ended["timestamp"], ended["data"])
    assert told["data"]["recording_url"] == "https://gateway.example/recordings/file/1"


def test_every_fact_of_a_report_is_in_the_event() -> None:
    facts = {field.name for field in attrs.fields(CallReport)} - {"kind"}
    assert set(event_of(RUNG, "0367")["data"]) == facts | {"enterprise"}


def test_times_are_told_in_utc_and_a_withheld_number_as_null() -> None:
    minsk = attrs.evolve(RUNG, phone="", started_at=NOON.astimezone(timezone(timedelta(hours=3))))
    event = event_of(minsk, "0367")
    assert (event["timestamp"], event["data"]["phone"]) == ("2025-10-01T09:00:00Z", None)


# the signature


def test_the_signature_is_that_of_the_reference_libraries() -> None:
    key = settings().key
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}') == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_plain_secret_signs_with_its_own_bytes() -> None:
    secret = "ключ-из-двадцати-четырёх-букв"
    assert settings(secret=secret).key == secret.encode()


def test_missing_padding_of_base64_is_no_mistake() -> None:
    padded = "whsec_" + "A" * 42 + "E="
    assert settings(secret=padded).key == settings(secret=padded.rstrip("=")).key


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("", "must not be empty"),
        ("short", "must have at least 24 characters, or whsec_ and the base64 of at least 24 bytes"),
        ("whsec_", "must have at least 24 characters, or whsec_ and the base64 of at least 24 bytes"),
        ("whsec_c2hvcnQ=", "must have at least 24 characters, or whsec_ and the base64 of at least 24 bytes"),
        ("whsec_!!!!not-base64-at-all!!!!!!!!", "must have base64 after whsec_"),
        ("whsec_" + "A" * 45, "must have base64 after whsec_"),
        ("whsec_" + "A" * 88, "must have the base64 of at most 64 bytes after whsec_"),
        ("x" * 300, "must be at most 256 characters"),
        (" " + "x" * 30, "must have no space around it"),
        ("x" * 30 + "\n", "must have no line breaks or control characters in it"),
    ],
)
def test_a_secret_that_is_too_weak_or_unreadable_is_refused_without_showing_it(secret: str, problem: str) -> None:
    with pytest.raises(CrmSettingsError) as raised:
        settings(secret=secret)
    assert str(raised.value) == f"integrations.own: secret: {problem}"


def test_every_try_has_the_same_id_and_body_and_its_own_time_and_signature() -> None:
    event = event_of(RUNG, "0367")
    first = request_of(settings(), event, push_id=PUSH, at=NOON)
    again = request_of(settings(), event, push_id=PUSH, at=NOON + timedelta(seconds=90, milliseconds=900))
    assert first.body == again.body
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == PUSH
    assert int(again.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 90
    assert first.headers["webhook-signature"] != again.headers["webhook-signature"]


def test_text_without_a_utf8_form_is_sent_all_the_same() -> None:
    report = attrs.evolve(RUNG, line="\ud800 линия")
    body = request_of(settings(), event_of(report, "0367"), push_id=PUSH, at=NOON).body
    assert json.loads(body)["data"]["line"] == "\ud800 линия"


def test_settings_and_requests_show_no_secret() -> None:
    hush = settings("https://crm.example/hooks/HUSHHUSH0HUSHHUSH?key=HUSH", "HUSH" * 8)
    shown = repr(hush) + repr(request_of(hush, event_of(RUNG, "0367"), push_id=PUSH, at=NOON))
    assert "HUSH" not in shown


# what answers mean


def judged(status: int, *, retry_after: str = "", body: bytes = b"", flaw: str = "", own: OwnSettings | None = None) -> Outcome:
    answer = HttpAnswer(status=status, body=body, retry_after=retry_after, flaw=flaw)
    return outcome_of(answer, own or settings(), now=NOON, request={"method": "POST"})


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_delivered(status: int) -> None:
    outcome = judged(status)
    assert (outcome.outcome, outcome.problem, outcome.fault) == (OutcomeClass.DELIVERED, None, Fault.NONE)


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (301, Problem.REDIRECT),
        (302, Problem.REDIRECT),
        (308, Problem.REDIRECT),
        (400, Problem.REJECTED),
        (401, Problem.UNAUTHORIZED),
        (403, Problem.UNAUTHORIZED),
        (404, Problem.NOT_FOUND),
        (405, Problem.REJECTED),
        (409, Problem.REJECTED),
        (410, Problem.NOT_FOUND),
        (413, Problem.REJECTED),
        (422, Problem.REJECTED),
    ],
)
def test_what_will_not_change_by_itself_is_permanent_with_advice(status: int, problem: Problem) -> None:
    outcome = judged(status, retry_after="30")
    assert (outcome.outcome, outcome.problem, outcome.reason) == (OutcomeClass.PERMANENT, problem, f"http={status}")
    assert (outcome.fault, outcome.advice, outcome.retry_after_seconds) == (Fault.OURS, advice_of(problem, "en"), None)


@pytest.mark.parametrize(
    ("status", "problem", "is_ambiguous"),
    [
        (408, Problem.TIMEOUT, False),
        (425, Problem.RATE_LIMIT, False),
        (429, Problem.RATE_LIMIT, False),
        (500, Problem.SERVER_ERROR, True),
        (502, Problem.SERVER_ERROR, True),
        (503, Problem.SERVER_ERROR, False),
        (504, Problem.SERVER_ERROR, True),
        (700, Problem.BAD_ANSWER, True),
    ],
)
def test_what_may_pass_is_tried_again_when_the_crm_wishes(status: int, problem: Problem, is_ambiguous: bool) -> None:
    outcome = judged(status, retry_after="Wed, 01 Oct 2025 09:00:45 GMT")
    assert (outcome.outcome, outcome.problem, outcome.fault) == (OutcomeClass.RETRYABLE, problem, Fault.THEIRS)
    assert (outcome.retry_after_seconds, outcome.is_ambiguous) == (45.0, is_ambiguous)


def test_the_status_counts_even_when_the_body_is_no_good() -> None:
    outcome = judged(200, body=b"<html>", flaw="the answer broke off")
    assert outcome.outcome is OutcomeClass.DELIVERED
    assert outcome.response == {"status": 200, "body": "<html>", "flaw": "the answer broke off"}


def test_what_is_kept_of_an_answer_is_short_storable_and_without_secrets() -> None:
    own = settings("https://crm.example/hooks/HUSHHUSH0HUSHHUSH?key=HUSHHUSH", "whsec_HUSHHUSHHUSHHUSHHUSHHUSHHUSHHUSH")
    echo = b"\x00\xff POST /hooks/HUSHHUSH0HUSHHUSH?key=HUSHHUSH secret=whsec_HUSHHUSHHUSHHUSHHUSHHUSHHUSHHUSH " + b"x" * 100_000
    kept = judged(500, body=echo, own=own).response["body"]
    assert "HUSH" not in kept
    assert "\x00" not in kept
    assert kept.startswith("\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} POST /hooks/***?***")
    assert len(kept) == 2048


def in_php(text: str) -> str:
    return text.replace("/", "\\/")


def in_a_form(text: str) -> str:
    return quote(text, safe="")


@pytest.mark.parametrize("spelling", [str, in_php, in_a_form])
def test_a_signature_that_comes_back_is_not_kept(spelling: Callable[[str], str]) -> None:
    for second in range(20):
        sent = request_of(settings(), event_of(RUNG, "0367"), push_id=PUSH, at=NOON + timedelta(seconds=second))
        signed = sent.headers["webhook-signature"]
        answer = HttpAnswer(status=500, body=f"you said {spelling(signed)} and no more".encode())
        kept = outcome_of(answer, settings(), now=NOON, request={}, signed=signed).response["body"]
        assert kept in ("you said v1,*** and no more", "you said v1%2C*** and no more")


# docs/crm/own.md


@pytest.mark.parametrize("page", ["own.md", "own.ru.md"])
def test_the_verification_that_the_page_shows_believes_the_gateway_and_nobody_else(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "crm" / page).read_text(encoding="utf-8")
    shown: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], shown)
    request = request_of(settings(), event_of(TALKED, "0367"), push_id=PUSH, at=datetime.now(UTC))
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert shown["is_genuine"](headers, request.body)
    assert not shown["is_genuine"](headers, request.body + b" ")
    assert not shown["is_genuine"]({**headers, "webhook-id": "msg_other"}, request.body)
    old = request_of(settings(), event_of(TALKED, "0367"), push_id=PUSH, at=datetime.now(UTC) - timedelta(minutes=6))
    assert not shown["is_genuine"](dict(old.headers), old.body)


@pytest.mark.parametrize("page", ["own.md", "own.ru.md"])
def test_the_page_names_every_field_of_the_event(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "crm" / page).read_text(encoding="utf-8")
    assert not [name for name in event_of(RUNG, "0367")["data"] if f"`{name}`" not in text or f'"{name}":' not in text]


@pytest.mark.parametrize("page", ["own.md", "own.ru.md"])
def test_the_example_of_the_page_is_signed_as_it_says(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "crm" / page).read_text(encoding="utf-8")
    head, _, body = text.partition("```http\n")[2].partition("```")[0].partition("\n\n")
    headers = dict(line.split(": ", maxsplit=1) for line in head.splitlines()[1:])
    content = body.strip().replace("\n", "").encode()
    assert headers["webhook-signature"] == signature(settings().key, headers["webhook-id"], headers["webhook-timestamp"], content)
    assert set(json.loads(content)["data"]) == set(event_of(RUNG, "0367")["data"])
