"""The log files: formats, rotation, truncation while running, secrets, and the guide's own shell commands.

"The guide" is the administrators' guide of the system that this one replaces; docs/operations.md shows the same formats and commands.
"""

import json
import logging
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.logs import APP_ROTATION, TRACED_ROTATION, Rotation, Trace, open_logs, readable, redacted

TOKEN = "375293332255"
BOT_TOKEN = "123456789:AAExample_Of-A_Token_0123456789abcde"

# The guide's example of an event.
EXAMPLE_BODY = {
    "Token": TOKEN,
    "CallStatus": "2",
    "Phone": "152",
    "ExternalInitiated": True,
    "Trunk": "",
    "Extensions": ["150"],
    "UniqueId": "1759230684.16",
    "StartTime": "",
    "DateReceived": "2025-09-30 11:15:02",
    "EndTime": "2025-09-30 11:15:12",
    "CallType": 0,
}
EXAMPLE_LINES = """\
[INFO] 🧪 TEST EVENT: hangup
[INFO] 📋 Token: 375293332255, UniqueId: 1759230684.16
[INFO] 📦 Full Body: {
  "Token": "375293332255",
  "CallStatus": "2",
  "Phone": "152",
  "ExternalInitiated": true,
  "Trunk": "",
  "Extensions": ["150"],
  "UniqueId": "1759230684.16",
  "StartTime": "",
  "DateReceived": "2025-09-30 11:15:02",
  "EndTime": "2025-09-30 11:15:12",
  "CallType": 0
}
"""
STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", re.MULTILINE)

Shell = Callable[[str], str]


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Trace]:
    with open_logs(tmp_path / "logs", traced=["0367"]) as trace:
        yield trace


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    def run(command: str) -> str:
        ran = subprocess.run(["/bin/bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True)
        return ran.stdout

    return run


def _send(trace: Trace, kind: str, unique_id: str, *, number: str = "0367", token: str = TOKEN) -> None:
    body = {"Token": token, "UniqueId": unique_id, "Phone": "375290001234"}
    trace.trace_event(number, kind=kind, token=token, unique_id=unique_id, body_text=json.dumps(body))


def test_a_traced_event_looks_as_in_the_guide(trace: Trace, tmp_path: Path) -> None:
    trace.trace_event("0367", kind="hangup", token=TOKEN, unique_id="1759230684.16", body_text=json.dumps(EXAMPLE_BODY))
    text = (tmp_path / "logs/0367.log").read_text(encoding="utf-8")
    assert len(STAMP.findall(text)) == 3
    assert STAMP.sub("", text) == EXAMPLE_LINES


def test_the_guides_commands_work_on_the_traced_log(trace: Trace, shell: Shell) -> None:
    _send(trace, "start", "1759225684.16")
    _send(trace, "dial", "1759225684.16")
    _send(trace, "bridge_create", "")
    _send(trace, "bridge", "1759225684.16")
    _send(trace, "hangup", "1759225684.16")
    _send(trace, "hangup", "1759225684.17")

    assert shell("cat logs/0367.log").count("📦 Full Body: {") == 6
    assert '"UniqueId": "1759225684.17"' in shell("tail -n 50 logs/0367.log")
    assert len(shell("tail -50 logs/0367.log").splitlines()) == 42
    assert len(shell('grep "hangup" logs/0367.log').splitlines()) == 2
    assert len(shell('grep "bridge" logs/0367.log').splitlines()) == 2
    assert len(shell('grep "1759225684.16" logs/0367.log').splitlines()) == 8
    counted = shell("""grep "🧪 TEST EVENT:" logs/0367.log | awk '{print $NF}' | sort | uniq -c""")
    assert [line.split() for line in counted.splitlines()] == [
        ["1", "bridge"],
        ["1", "bridge_create"],
        ["1", "dial"],
        ["2", "hangup"],
        ["1", "start"],
    ]
    assert shell('grep -c "🧪 TEST EVENT" logs/0367.log').strip() == "6"
    assert shell('grep "🧪 TEST EVENT" logs/0367.log | tail -1').endswith("🧪 TEST EVENT: hangup\n")


def test_the_guides_commands_work_on_the_main_log(trace: Trace, shell: Shell) -> None:
    _send(trace, "hangup", "1759225684.16")
    _send(trace, "hangup", "1759225684.18", number="0270", token="375290000270")
    logging.getLogger("gateway.nurseries.lane").warning("ERROR-like text of a warning")
    found = shell(f'grep "{TOKEN}" logs/app.log').splitlines()
    assert len(found) == 1
    assert STAMP.sub("", found[0]) == f"[INFO] gateway.events: hangup of 0367, Token: {TOKEN}, UniqueId: 1759225684.16"
    assert len(shell('grep "ERROR" logs/app.log').splitlines()) == 1
    assert shell("tail -n 1 logs/app.log").endswith("[WARNING] gateway.nurseries.lane: ERROR-like text of a warning\n")


def test_a_log_emptied_while_running_goes_on_from_its_beginning(trace: Trace, shell: Shell, tmp_path: Path) -> None:
    _send(trace, "start", "1.1")
    before = (tmp_path / "logs/0367.log").stat()
    shell("cat /dev/null > logs/0367.log && cat /dev/null > logs/app.log && echo ok")
    assert (tmp_path / "logs/0367.log").stat().st_size == 0
    _send(trace, "dial", "1.1")
    after = (tmp_path / "logs/0367.log").stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size - 1)  # "dial" is a letter shorter than "start": no hole
    assert b"\0" not in (tmp_path / "logs/0367.log").read_bytes()
    assert shell('grep -c "🧪 TEST EVENT" logs/0367.log').strip() == "1"
    assert len((tmp_path / "logs/app.log").read_text(encoding="utf-8").splitlines()) == 1


def test_emptying_counts_for_the_rotation(tmp_path: Path, shell: Shell) -> None:
    with open_logs(tmp_path / "logs", app_rotation=Rotation(limit_bytes=1000, kept_items=2)):
        logging.getLogger("a").info("x" * 700)
        shell("cat /dev/null > logs/app.log")
        logging.getLogger("a").info("y" * 700)
    assert not (tmp_path / "logs/app.log.1").exists()


def test_a_log_moved_away_or_removed_begins_anew(trace: Trace, shell: Shell, tmp_path: Path) -> None:
    log = logging.getLogger("a")
    log.info("first")
    shell("mv logs/app.log logs/old.log")
    log.info("second")
    shell("rm -r logs")
    log.info("third")
    assert (tmp_path / "logs/app.log").read_text(encoding="utf-8").endswith("a: third\n")


def test_files_are_rotated_by_bytes_and_the_oldest_go(tmp_path: Path) -> None:
    log = logging.getLogger("a")
    with open_logs(tmp_path, app_rotation=Rotation(limit_bytes=1000, kept_items=3)):
        for number in range(40):
            log.info("%02d %s", number, "ж" * 100)
    names = sorted(path.name for path in tmp_path.glob("app.log*"))
    assert names == ["app.log", "app.log.1", "app.log.2", "app.log.3"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.glob("app.log*"))
    numbers = [int(found) for name in reversed(names) for found in re.findall(r"a: (\d\d)", (tmp_path / name).read_text(encoding="utf-8"))]
    assert numbers == list(range(numbers[0], 40))


def test_the_limits_are_those_of_the_guide() -> None:
    assert Rotation(limit_bytes=10 * 1024 * 1024, kept_items=5) == APP_ROTATION
    assert Rotation(limit_bytes=5 * 1024 * 1024, kept_items=3) == TRACED_ROTATION


def test_access_lines_have_no_logger_name_and_stay_out_of_the_main_log(trace: Trace, tmp_path: Path) -> None:
    logging.getLogger("gateway.access").info('10.0.0.7 - - "POST /hangup HTTP/1.1" 200 31 0.0021')
    line = (tmp_path / "logs/access.log").read_text(encoding="utf-8")
    assert STAMP.sub("", line) == '[INFO] 10.0.0.7 - - "POST /hangup HTTP/1.1" 200 31 0.0021\n'
    assert (tmp_path / "logs/app.log").read_text(encoding="utf-8") == ""


def test_an_enterprise_that_is_not_traced_never_shows_its_token(tmp_path: Path) -> None:
    with open_logs(tmp_path, level="DEBUG", traced=["0367"]) as trace:
        _send(trace, "dial", "2.1", number="0270", token="375290000270")
    text = (tmp_path / "app.log").read_text(encoding="utf-8")
    assert "dial of 0270, UniqueId: 2.1" in text
    assert "375290000270" not in text
    assert not (tmp_path / "0270.log").exists()
    assert (tmp_path / "0367.log").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(
    "text",
    [
        f"POST https://api.telegram.org/bot{BOT_TOKEN}/sendMessage",
        f"POST https://api.telegram.org/bot{BOT_TOKEN.replace(':', '%3A')}/sendMessage",
        f"the bot {BOT_TOKEN} is blocked",
        "POST http://127.0.0.1:9000/bot123456:s3cret/getMe",
        "GET https://store.example/api/v5/users?apiKey=s3cret&page=1",
        "GET https://store.example/api/v5/users?api_key=s3cret",
        "{'X-API-KEY': 's3cret', 'Accept': '*/*'}",
        "headers: [(b'Authorization', b'Bearer s3cret'), (b'Accept', b'*/*')]",
        "headers: {b'x-api-key': b's3cret'}",
        "Authorization: Basic s3cret",
        '{"authorization": "Bearer s3cret"}',
        "connecting to postgresql://gateway:s3cret@db.example:5432/calls",
        "connecting to host=db.example user=gateway password=s3cret dbname=calls",
        "https://portal.example/rest/1/s3cret/telephony.externalCall.register",
        "https://api.u-on.ru/s3cret/notification/create.json",
        "unknown Token: s3cret",
        '{"Token": "s3cret"}',
        "X-Telegram-Bot-Api-Secret-Token: s3cret",
        "DATABASE_PASSWORD=s3cret",
        "{'api_token': 's3cret', 'integration_code': 's3cret', 'webhook_token': 's3cret'}",
        "secret: s3cret must be hidden",
        '{"password": "s3cret is missing"}',
    ],
)
def test_secrets_are_hidden_whatever_logs_them(trace: Trace, tmp_path: Path, text: str) -> None:
    logging.getLogger("careless").info("so: %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("careless").warning("failed", exc_info=True)
    written = (tmp_path / "logs/app.log").read_text(encoding="utf-8")
    assert "***" in written
    assert "s3cret" not in written
    assert "AAExample" not in written


@pytest.mark.parametrize(
    "text",
    [
        "hangup of 0367, UniqueId: 1759225684.16",
        "2025-10-01 14:23:45,123 from 127.0.0.1:8000",
        "call 17 of +375 (29) 000-12-34: 3 cards, 2 shown",
        "http://127.0.0.1:8020/customer-name/0367/375290001234",
        "enterprise 0367: integrations.own: secret: must have at least 24 characters, or whsec_ and the base64 of at least 24 bytes",
        "enterprise 0367: integrations.own: secret: must be text, not a number (leading zeros would be lost): put it in quotes",
        "enterprise 0367: integrations.retailcrm: api_key: must not be empty",
        "integrations.ms: api_token: is missing",
        'gateway.toml: enterprise "0367": token: must have no space around it',
        'gateway.toml: enterprise "0367": bot_token: must be as BotFather gives it: digits, a colon, letters',
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("text", ["secret: must", "secret=must be", 'secret: "must be"', "password: mustard", "token: missing-1"])
def test_what_only_looks_like_our_own_words_is_hidden(text: str) -> None:
    assert "***" in redacted(text)
    assert "must" not in redacted(text).removesuffix(" be")


def test_a_sender_cannot_forge_lines(trace: Trace, tmp_path: Path) -> None:
    forged = "1.1\n2025-10-01 14:23:45,123 [ERROR] gateway: all is lost"
    logging.getLogger("gateway.web").info("UniqueId %s", forged)
    _send(trace, "dial", forged)
    for name in ("app.log", "0367.log"):
        assert not re.search(r"^2025-10-01", (tmp_path / "logs" / name).read_text(encoding="utf-8"), re.MULTILINE)


def test_any_body_can_be_traced(trace: Trace, tmp_path: Path) -> None:
    for body_text in ('{"Имя": "Анна", "x": "\\ud800"}', "{}", "[1]", "not JSON\nat all", "[" * 100_000, '{"n": ' + "1" * 5000 + "}"):
        trace.trace_event("0367", kind="dial", token=TOKEN, unique_id="\udcff", body_text=body_text)
    text = (tmp_path / "logs/0367.log").read_text(encoding="utf-8")
    assert text.count("📦 Full Body: ") == 6
    assert '  "Имя": "Анна",\n  "x": "\\ud800"\n' in text


def test_a_body_keeps_the_order_and_the_kinds_of_its_values() -> None:
    assert readable('{"b": [], "a": null, "c": 1.50, "d": {"e": [1, 2]}}') == (
        '{\n  "b": [],\n  "a": null,\n  "c": 1.5,\n  "d": {"e": [1, 2]}\n}'
    )


def test_requests_of_the_http_library_are_not_logged(trace: Trace, tmp_path: Path) -> None:
    logging.getLogger("httpx2").info("HTTP Request: POST https://api.telegram.org/…")
    assert (tmp_path / "logs/app.log").read_text(encoding="utf-8") == ""


def test_a_full_disk_costs_lines_and_nothing_else(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "access.log").symlink_to("/dev/full")
    with open_logs(tmp_path):
        for _ in range(3):
            logging.getLogger("gateway.access").info("password=s3cret")
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    assert "s3cret" not in said


def test_a_place_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file", encoding="utf-8")
    with pytest.raises(SettingsError, match="log_dir: "), open_logs(tmp_path / "logs"):
        pass


def test_afterwards_everything_is_as_it_was(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("gateway.access").propagate)
    with open_logs(tmp_path, traced=["0367"]):
        assert root.handlers != before[1]
    assert (root.level, list(root.handlers), logging.getLogger("gateway.access").propagate) == before


@pytest.mark.parametrize("text", ['"Token": "***0367"', "Token: ***0367", "{'token': '***'}", "token=***0367&x=1"])
def test_a_token_that_is_masked_already_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("token", ["***03671", "****0367", "**0367", "***0367x9", "0367***"])
def test_what_only_looks_like_a_mask_is_hidden(token: str) -> None:
    assert redacted(f'"Token": "{token}"') == '"Token": "***"'
