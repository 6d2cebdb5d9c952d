"""The settings of a gateway: one frozen value, built once, and the only place with defaults.

They come from `GATEWAY_*` variables and from the file of `--config FILE.toml` (same names in lower case); the environment wins. A name that
nobody knows and a value that cannot be meant stop the start with one line: a setting that is quietly ignored is found out in production.
"""

import difflib
import enum
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs

from gateway.errors import SettingsError
from gateway.loopback import is_loopback_host

PREFIX = "GATEWAY_"
EMBEDDED = "embedded"

# Variables with our prefix that are not settings: the test suite's own, and what Kubernetes puts into every pod beside a service "gateway".
_NOT_SETTINGS = re.compile(r"GATEWAY_(TEST_\w+|SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
_SHOWN_CHARACTERS = 80
# The page of the emulator plays calls to real subscribers, and nothing but this stands before it.
_LEAST_PASSWORD_CHARACTERS = 12
_HIGHEST_PORT = 65535
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  (looked for, not bound)
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
# A traced enterprise becomes a file name beside the other logs.
_TRACED = re.compile(r"[0-9A-Za-z_-]{1,32}")
_LOGS_OF_OURS = frozenset({"app", "access", "call_tester_events"})

_E = TypeVar("_E", bound=enum.Enum)


class BotUpdates(enum.Enum):
    """How the bots hear of what people write to them."""

    POLLING = "polling"
    WEBHOOK = "webhook"
    OFF = "off"


class LogLevel(enum.Enum):
    """From which level on app.log is written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@attrs.frozen
class Bind:
    """An address to listen on. Port 0 lets the system choose (tests, demo)."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written in the settings and for Hypercorn: IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine gets there. A name may lead anywhere, but for `localhost`."""
        return is_loopback_host(self.host)


class _BadValue(Exception):
    """What would have been right; the caller adds the name of the setting and where it was given."""


# ── from text or TOML to a value ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _BadValue("a text that is not empty")
    return value.strip()


def _path(value: object) -> Path:
    return Path(_text(value)).expanduser()


def _items(value: object) -> list[str]:
    """A list, or a text with commas; "" is an empty list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):  # pyright: ignore[reportUnknownVariableType]
        return [part.strip() for part in value if part.strip()]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    raise _BadValue("texts, separated by commas")


def _bind(text: str) -> Bind:
    wanted = _BadValue("host:port, several separated by commas, IPv6 in brackets, e.g. 127.0.0.1:8000,[::1]:8000")
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        raise wanted
    if host.startswith("[") and host.endswith("]"):
        try:
            return Bind(str(IPv6Address(host[1:-1])), int(port))
        except ValueError:
            raise wanted from None
    if not host or re.search(r"[\s:\[\]/@]", host):
        raise wanted
    return Bind(host, int(port))


def _binds_or_none(value: object) -> tuple[Bind, ...]:
    binds = tuple(_bind(part) for part in _items(value))
    if len({bind for bind in binds if bind.port}) < sum(1 for bind in binds if bind.port):
        raise _BadValue("every address once")
    return binds


def _binds(value: object) -> tuple[Bind, ...]:
    binds = _binds_or_none(value)
    if not binds:
        raise _BadValue("at least one host:port")
    return binds


def _number(value: object) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise _BadValue("a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _BadValue("a number")
    return float(value)


def _seconds(value: object) -> float:
    """Above zero."""
    seconds = _number(value)
    if seconds <= 0:
        raise _BadValue("seconds, more than 0")
    return seconds


def _seconds_or_zero(value: object) -> float:
    seconds = _number(value)
    if seconds < 0:
        raise _BadValue("seconds, 0 or more")
    return seconds


def _days(value: object) -> int:
    days = _number(value)
    if days < 1 or days != int(days):
        raise _BadValue("whole days, 1 or more")
    return int(days)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _BadValue("true or false")


def _choice(kind: type[_E]) -> Callable[[object], _E]:
    def parse(value: object) -> _E:
        word = value.strip().lower() if isinstance(value, str) else ""
        for member in kind:
            if member.value.lower() == word:
                return member
        raise _BadValue(" | ".join(member.value for member in kind))

    return parse


def _database_url(value: object) -> str:
    text = _text(value)
    if text == EMBEDDED or text.startswith(("postgresql://", "postgres://")) or re.match(r"\w+\s*=", text):
        return text
    raise _BadValue("embedded, or postgresql://user:password@host/database")


def _base_url(value: object) -> str:
    text = _text(value).rstrip("/")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise _BadValue("an address such as https://host or http://host:port/path")
    return text


def _base_url_or_none(value: object) -> str:
    return "" if value == "" else _base_url(value)


def _base_urls(value: object) -> tuple[str, ...]:
    urls = tuple(dict.fromkeys(_base_url(part) for part in _items(value)))
    if any("@" in urlsplit(url).netloc for url in urls):
        raise _BadValue("addresses without user and password")
    return urls


def _password(value: object) -> str:
    """As it is, spaces too. What cannot be printed cannot be typed in."""
    if isinstance(value, str) and (not value or (len(value) >= _LEAST_PASSWORD_CHARACTERS and value.isprintable())):
        return value
    raise _BadValue(f"at least {_LEAST_PASSWORD_CHARACTERS} characters, all of them printable")


def _traced(value: object) -> tuple[str, ...]:
    numbers = tuple(dict.fromkeys(_items(value)))
    if any(not _TRACED.fullmatch(number) or number in _LOGS_OF_OURS for number in numbers):
        raise _BadValue("numbers of enterprises, separated by commas")
    return numbers


def _hidden_unless_embedded(url: str) -> str:
    """Host and user help little, and a password may stand in more than one place of a conninfo."""
    return repr(url) if url == EMBEDDED else "'…'"


def _hidden(text: str) -> str:
    return "'…'" if text else "''"


_PARSE = "parse"
_HIDDEN = "hidden"


def _setting(parse: Callable[[object], Any], default: object, *, show: Callable[[Any], str] | None = None) -> Any:
    """A field whose default is written as a user would write it. `show` is for the repr; what has one is not shown in errors either."""
    return attrs.field(default=parse(default), repr=show or True, metadata={_PARSE: parse, _HIDDEN: show is not None})


@attrs.frozen(kw_only=True)
class Settings:
    """Every setting. Durations are in seconds unless the name says otherwise.

    `database_url`: `embedded` or a conninfo. `tester_bind`: of the emulator's page, none = off; `tester_password`: what it asks for at
    addresses that are not of this machine only; `tester_targets`: other gateways that it may post to. `public_base_url`: how the world
    reaches us, "" = it does not. `traced_enterprises`: each has its log `<number>.log`. `allow_private_targets`: CRMs may live at plain,
    loopback and private addresses.
    """

    database_url: str = _setting(_database_url, EMBEDDED, show=_hidden_unless_embedded)
    data_dir: Path = _setting(_path, "data")
    log_dir: Path = _setting(_path, "logs")
    log_level: LogLevel = _setting(_choice(LogLevel), "INFO")
    bind: tuple[Bind, ...] = _setting(_binds, "127.0.0.1:8000")
    internal_bind: tuple[Bind, ...] = _setting(_binds, "127.0.0.1:8020,127.0.0.1:8019")
    tester_bind: tuple[Bind, ...] = _setting(_binds_or_none, "127.0.0.1:8025")
    tester_password: str = _setting(_password, "", show=_hidden)
    # Not shown in errors: what was refused may hold a password.
    tester_targets: tuple[str, ...] = _setting(_base_urls, "", show=repr)
    telegram_base_url: str = _setting(_base_url, "https://api.telegram.org")
    public_base_url: str = _setting(_base_url_or_none, "")
    bot_updates: BotUpdates = _setting(_choice(BotUpdates), "polling")
    crm_timeout_seconds: float = _setting(_seconds, 2.0)
    enrichment_budget_seconds: float = _setting(_seconds_or_zero, 0.3)
    closing_grace_seconds: float = _setting(_seconds, 8.0)
    open_call_seconds: float = _setting(_seconds, 14400.0)
    drain_seconds: float = _setting(_seconds_or_zero, 10.0)
    retention_days: int = _setting(_days, 90)
    traced_enterprises: tuple[str, ...] = _setting(_traced, "0367")
    allow_private_targets: bool = _setting(_flag, default=False)


def load_settings(environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """Builds the settings from variables and, beneath them, a TOML file.

    Raises:
        SettingsError: one line that names the setting and where it was given, never the value of a secret.
    """
    given: dict[str, tuple[str, object]] = {}
    if config is not None:
        for name, value in _read(config).items():
            given[name] = (f"{config}: {name}", value)
    for variable, value in environment.items():
        if variable.startswith(PREFIX) and not _NOT_SETTINGS.fullmatch(variable):
            given[variable.removeprefix(PREFIX).lower()] = (variable, value)

    fields = attrs.fields_dict(Settings)
    values: dict[str, Any] = {}
    for name, (place, value) in given.items():
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            raise SettingsError(f"{place}: there is no such setting" + (f"; did you mean {close[0]}?" if close else ""))
        metadata = fields[name].metadata
        try:
            values[name] = metadata[_PARSE](value)
        except _BadValue as wanted:
            shown = "" if metadata[_HIDDEN] else f", not {_cut(value)}"
            raise SettingsError(f"{place}: wanted {wanted}{shown}") from None
    settings = Settings(**values)
    _check_together(settings)
    return settings


def _read(config: Path) -> dict[str, object]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(f"{config}: cannot be read: {exc.strerror or exc}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{config}: is not TOML: {' '.join(str(exc).split())}") from None


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _check_together(settings: Settings) -> None:
    """What is wrong only in company."""
    taken: dict[Bind, str] = {}
    for name, binds in (("bind", settings.bind), ("internal_bind", settings.internal_bind), ("tester_bind", settings.tester_bind)):
        for bind in binds:
            if bind.port and taken.setdefault(bind, name) != name:
                raise SettingsError(f"{name}: {bind} is already in {taken[bind]}")
    if not settings.tester_password:
        for bind in settings.tester_bind:
            if not bind.is_loopback:
                raise SettingsError(f"tester_bind: {bind} can be reached from other machines: that needs tester_password")
    for url in settings.tester_targets:
        if url == settings.public_base_url or any(_leads_to(url, bind) for bind in taken):
            raise SettingsError(f"tester_targets: {url} is this gateway itself, which the emulator always has")
    # Bot API, setWebhook: "HTTPS URL to send updates to".
    if settings.bot_updates is BotUpdates.WEBHOOK and not settings.public_base_url.startswith("https://"):
        raise SettingsError("bot_updates: webhook needs public_base_url with https://")


def _leads_to(url: str, bind: Bind) -> bool:
    """Whether this address is that listener, as far as can be told without asking for names."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if (parts.port or (443 if parts.scheme == "https" else 80)) != bind.port:
        return False
    return host == bind.host.lower() or (is_loopback_host(host) and (bind.is_loopback or bind.host in _EVERYWHERE))
