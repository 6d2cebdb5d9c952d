"""Settings: what is accepted, what wins, and that what is wrong is said in one line."""

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import Bind, BotUpdates, LogLevel, Settings, load_settings


def _refusal(environment: dict[str, str], config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(environment, config)
    text = str(refused.value)
    assert "\n" not in text
    return text


def _file(tmp_path: Path, text: str) -> Path:
    config = tmp_path / "gateway.toml"
    config.write_text(text, encoding="utf-8")
    return config


def test_without_anything_given_the_documented_defaults_hold() -> None:
    settings = load_settings({})
    assert settings == Settings()
    assert settings.database_url == "embedded"
    assert (settings.data_dir, settings.log_dir) == (Path("data"), Path("logs"))
    assert settings.bind == (Bind("127.0.0.1", 8000),)
    assert settings.internal_bind == (Bind("127.0.0.1", 8020), Bind("127.0.0.1", 8019))
    assert settings.tester_bind == (Bind("127.0.0.1", 8025),)
    assert (settings.tester_password, settings.tester_targets) == ("", ())
    assert settings.telegram_base_url == "https://api.telegram.org"
    assert (settings.crm_timeout_seconds, settings.enrichment_budget_seconds) == (2.0, 0.3)
    assert (settings.closing_grace_seconds, settings.open_call_seconds, settings.drain_seconds) == (8.0, 14400.0, 10.0)
    assert settings.traced_enterprises == ("0367",)
    assert settings.retention_days == 90
    assert settings.allow_private_targets is False
    assert settings.bot_updates is BotUpdates.POLLING
    assert settings.log_level is LogLevel.INFO


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = _file(tmp_path, 'drain_seconds = 3\nretention_days = 7\nallow_private_targets = true\ntraced_enterprises = ["0367", "0270"]\n')
    settings = load_settings({"GATEWAY_DRAIN_SECONDS": "4.5", "PATH": "/bin"}, config)
    assert settings.drain_seconds == 4.5
    assert settings.retention_days == 7
    assert settings.allow_private_targets is True
    assert settings.traced_enterprises == ("0367", "0270")


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("0.0.0.0:80", (Bind("0.0.0.0", 80),)),
        ("127.0.0.1:0, localhost:8000", (Bind("127.0.0.1", 0), Bind("localhost", 8000))),
        ("[::1]:8000,[2001:db8:0::1]:9000", (Bind("::1", 8000), Bind("2001:db8::1", 9000))),
        ("127.0.0.1:0,127.0.0.1:0", (Bind("127.0.0.1", 0), Bind("127.0.0.1", 0))),
    ],
)
def test_binds_become_hosts_and_ports(text: str, binds: tuple[Bind, ...]) -> None:
    assert load_settings({"GATEWAY_BIND": text}).bind == binds


def test_a_bind_is_written_as_it_is_read() -> None:
    assert str(Bind("::1", 8000)) == "[::1]:8000"
    assert str(Bind("127.0.0.1", 8000)) == "127.0.0.1:8000"


@pytest.mark.parametrize(
    "text",
    ["", "8000", "127.0.0.1", "127.0.0.1:", ":8000", "::1:8000", "[::1]", "[x]:1", "a:65536", "a:-1", "http://a:1", "a:1,a:1", "a:٣"],
)
def test_a_bad_bind_is_refused_by_name(text: str) -> None:
    assert _refusal({"GATEWAY_BIND": text}).startswith("GATEWAY_BIND: ")


def test_an_empty_tester_bind_means_off() -> None:
    assert load_settings({"GATEWAY_TESTER_BIND": ""}).tester_bind == ()


def test_an_empty_list_of_traced_enterprises_traces_nobody() -> None:
    assert load_settings({"GATEWAY_TRACED_ENTERPRISES": ""}).traced_enterprises == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", "mysql://host/x"),
        ("DATA_DIR", ""),
        ("TELEGRAM_BASE_URL", "api.telegram.org"),
        ("TELEGRAM_BASE_URL", "ftp://api.telegram.org"),
        ("TELEGRAM_BASE_URL", "http://[::1"),
        ("CRM_TIMEOUT_SECONDS", "0"),
        ("CRM_TIMEOUT_SECONDS", "nan"),
        ("CLOSING_GRACE_SECONDS", "soon"),
        ("DRAIN_SECONDS", "-1"),
        ("OPEN_CALL_SECONDS", "inf"),
        ("RETENTION_DAYS", "0"),
        ("RETENTION_DAYS", "1.5"),
        ("ALLOW_PRIVATE_TARGETS", "maybe"),
        ("LOG_LEVEL", "LOUD"),
        ("BOT_UPDATES", "pigeon"),
        ("TRACED_ENTERPRISES", "../etc"),
        ("TRACED_ENTERPRISES", "app"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, text: str) -> None:
    assert _refusal({f"GATEWAY_{name}": text}).startswith(f"GATEWAY_{name}: wanted ")


@pytest.mark.parametrize(
    "text",
    ["drain_seconds = true", "bind = [1]", "bind = 8000", "[bind]\nhost = 1", "allow_private_targets = 1.5", "retention_days = 2020-01-01"],
)
def test_a_value_of_the_wrong_type_in_the_file_is_refused(tmp_path: Path, text: str) -> None:
    assert "wanted" in _refusal({}, _file(tmp_path, text))


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    assert _refusal({"GATEWAY_DRAIN_SECOND": "1"}) == "GATEWAY_DRAIN_SECOND: there is no such setting; did you mean drain_seconds?"


def test_an_unknown_name_in_the_file_is_refused_with_the_file(tmp_path: Path) -> None:
    config = _file(tmp_path, "zzz = 1")
    assert _refusal({}, config) == f"{config}: zzz: there is no such setting"


def test_variables_that_others_put_beside_ours_are_passed_over() -> None:
    others = {
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_SERVICE_PORT_HTTP": "80",
        "GATEWAY_PORT": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "GATEWAY_TEST_DATABASE_URL": "postgresql://x@/y",
    }
    assert load_settings(others) == Settings()


def test_a_file_that_is_missing_or_not_toml_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in _refusal({}, tmp_path / "none.toml")
    assert "is not TOML" in _refusal({}, _file(tmp_path, "a = \nb"))
    (tmp_path / "latin.toml").write_bytes(b"a = '\xff'")
    assert "is not TOML" in _refusal({}, tmp_path / "latin.toml")


def test_the_password_of_the_database_is_never_shown() -> None:
    settings = load_settings({"GATEWAY_DATABASE_URL": "postgresql://gateway:s3cret@db.example/calls"})
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings)
    assert settings.database_url.endswith("@db.example/calls")
    assert "s3cret" not in _refusal({"GATEWAY_DATABASE_URL": "mysql://gateway:s3cret@db.example/calls"})


def test_base_addresses_lose_their_last_slash() -> None:
    assert load_settings({"GATEWAY_TELEGRAM_BASE_URL": "http://127.0.0.1:9000/"}).telegram_base_url == "http://127.0.0.1:9000"


def test_one_address_cannot_serve_two_listeners() -> None:
    assert _refusal({"GATEWAY_TESTER_BIND": "127.0.0.1:8000"}) == "tester_bind: 127.0.0.1:8000 is already in bind"


def test_a_webhook_needs_an_address_the_world_can_reach() -> None:
    assert _refusal({"GATEWAY_BOT_UPDATES": "webhook"}) == "bot_updates: webhook needs public_base_url with https://"
    settings = load_settings({"GATEWAY_BOT_UPDATES": "webhook", "GATEWAY_PUBLIC_BASE_URL": "https://calls.example"})
    assert settings.bot_updates is BotUpdates.WEBHOOK


# the emulator's page

ELSEWHERE = ["0.0.0.0:8025", "[::]:8025", "192.168.1.5:8025", "[fd00::1]:8025", "gateway.example:8025", "localhost.example:8025"]


@pytest.mark.parametrize("bind", ELSEWHERE)
def test_a_page_that_others_can_reach_needs_a_password(bind: str) -> None:
    given = {"GATEWAY_TESTER_BIND": f"127.0.0.1:8025,{bind}"}
    assert _refusal(given) == f"tester_bind: {bind} can be reached from other machines: that needs tester_password"
    assert load_settings({**given, "GATEWAY_TESTER_PASSWORD": "long enough!"}).tester_password == "long enough!"


HERE = ["127.0.0.1:8025", "127.1.2.3:8025", "[::1]:8025", "localhost:8025", "LocalHost:8025", "[::ffff:127.0.0.1]:8025"]


@pytest.mark.parametrize("bind", HERE)
def test_a_page_for_this_machine_needs_none(bind: str) -> None:
    assert load_settings({"GATEWAY_TESTER_BIND": bind}).tester_password == ""


@pytest.mark.parametrize("password", ["s3cret", "s3cret78901", "s3cret890123\n", "s3cret890123\udcff"])
def test_a_bad_password_is_refused_and_not_shown(password: str, tmp_path: Path) -> None:
    refusal = _refusal({"GATEWAY_TESTER_PASSWORD": password})
    assert refusal == "GATEWAY_TESTER_PASSWORD: wanted at least 12 characters, all of them printable"
    assert "s3cret" not in refusal
    config = _file(tmp_path, "tester_password = 123456789012\n")
    assert "1234" not in _refusal({}, config)


def test_the_password_is_not_in_the_representation() -> None:
    settings = load_settings({"GATEWAY_TESTER_PASSWORD": "s3cret s3cret"})
    assert settings.tester_password == "s3cret s3cret"
    assert "s3cret" not in repr(settings)
    assert "tester_password=''" in repr(Settings())


def test_other_gateways_are_base_addresses_each_once() -> None:
    given = {"GATEWAY_TESTER_TARGETS": "https://gw.example/, http://10.0.0.5:8000,https://gw.example"}
    assert load_settings(given).tester_targets == ("https://gw.example", "http://10.0.0.5:8000")


@pytest.mark.parametrize("target", ["gw.example", "ftp://gw.example", "https://gw.example/?token=s3cret", "https://me:s3cret@gw.example"])
def test_a_bad_address_of_another_gateway_is_refused_without_what_is_in_it(target: str) -> None:
    refusal = _refusal({"GATEWAY_TESTER_TARGETS": target})
    assert refusal.startswith("GATEWAY_TESTER_TARGETS: wanted ")
    assert "s3cret" not in refusal


@pytest.mark.parametrize(
    ("bind", "target"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("127.0.0.1:8000", "http://LOCALHOST:8000/"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("[::]:80", "http://localhost"),
        ("gw.example:443", "https://GW.example"),
    ],
)
def test_the_gateway_itself_is_no_other_gateway(bind: str, target: str) -> None:
    refusal = _refusal({"GATEWAY_BIND": bind, "GATEWAY_TESTER_TARGETS": target})
    assert refusal == f"tester_targets: {target.rstrip('/')} is this gateway itself, which the emulator always has"
    public = {"GATEWAY_PUBLIC_BASE_URL": "https://calls.example", "GATEWAY_TESTER_TARGETS": "https://calls.example/"}
    assert "this gateway itself" in _refusal(public)


def test_another_gateway_may_stand_on_this_machine() -> None:
    given = {"GATEWAY_BIND": "0.0.0.0:8000,127.0.0.1:0", "GATEWAY_TESTER_TARGETS": "http://127.0.0.1:8001,http://10.0.0.1:8000"}
    assert len(load_settings(given).tester_targets) == 2
