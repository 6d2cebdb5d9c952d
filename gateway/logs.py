"""The log files: app.log, access.log and one file per traced enterprise, in the formats of the guide.

"The guide" is the administrators' guide of the system that this one replaces; docs/operations.md shows the same formats and commands.

Records are written at once by the task that logs: an append of some hundred bytes goes into the page cache within microseconds, while a
thread or a queue between would lose the last lines before a crash, which are the ones that matter. Files are opened for appending and
their size is asked of the kernel for each record, so `cat /dev/null > app.log`, `mv` and `rm` are safe while the gateway runs.

Secrets: nobody should log any; `redacted` is the last line of defence, on every line of every file. The one exception is meant: the host
token of a traced enterprise, by which the guide finds its events.
"""

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import attrs

from gateway.errors import SettingsError

APP_FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
# Access and traced lines come from one source each: no name.
PLAIN_FORMAT = "%(asctime)s [%(levelname)s] %(message)s"
ACCESS_LOGGER = "gateway.access"
EVENTS_LOGGER = "gateway.events"
_TRACED_LOGGER = "gateway.traced"
# Libraries that tell of every request or statement at INFO.
_TALKATIVE = ("httpx2", "httpcore2", "hypercorn", "quart", "psycopg")

_HIDDEN = "***"
_NEEDLESS_CHARACTERS = str.maketrans({"\n": "\\n", "\r": "\\r", "\x1b": "\\e", "\0": "\\0"})
_SENSITIVE_NAMES = (
    r"x[-_]api[-_]key|api[-_]?key|apikey|access[-_]key|password|passwd|pwd|client[-_]secret|secret[-_]token"
    r"|x-telegram-bot-api-secret-token|secret|(?:access|refresh|bot|application|api|webhook)[-_]token|integration[-_]code|webhook-signature"
)
# Between a name and its value: "name=", "name: ", and in JSON or a repr of headers "'name': b'" and "('name', b'".
_BETWEEN = r"(?:[\"']\s*[:,=]|\s*[=:])\s*(?:b?[\"'])?"
# Our own words about a value ("secret: must have at least 24 characters", "api_token: is missing"; see gateway.tables) are none. A secret
# that begins so has spaces in it, and what follows its first word would not be hidden anyway.
_NO_VERDICT = r"(?!(?<=: )(?:must (?:be|have|not)|is missing)\b)"
# (what, what stays of it). Values end at a quote, a space or a separator.
_SECRETS = (
    # Bot API: https://api.telegram.org/bot<number>:<key>/method; tokens of tests are shorter than real ones.
    (re.compile(r"(/bot)\d+(?::|%3[Aa])[^/\s\"'?]+"), rf"\1{_HIDDEN}"),
    (re.compile(r"\b\d+(?::|%3[Aa])[A-Za-z0-9_-]{20,}"), _HIDDEN),
    # Any scheme, also dialects: postgresql://user:password@host
    (re.compile(r"(://[^/\s:@'\"]*:)[^/\s@'\"]+(?=@)"), rf"\1{_HIDDEN}"),
    (re.compile(rf"(?i)(\bauthorization{_BETWEEN}(?:(?:bearer|basic|token|digest)\s+)?)[^\s\"',;}}]+"), rf"\1{_HIDDEN}"),
    (re.compile(rf"(?i)((?<![a-z])(?:{_SENSITIVE_NAMES}){_BETWEEN}){_NO_VERDICT}[^\s\"'&,;}})]+"), rf"\1{_HIDDEN}"),
    # Bitrix24 inbound webhook: https://<portal>/rest/<user>/<code>/method; U-ON: https://api.u-on.ru/<key>/method
    (re.compile(r"(?i)(/rest/\d+/)[a-z0-9]+"), rf"\1{_HIDDEN}"),
    (re.compile(r"(?i)(u-on\.ru/)[^/\s\"']+"), rf"\1{_HIDDEN}"),
)
# What is masked already, three stars and at most four characters, says no more than it is meant to say.
_NO_MASK = r"(?!\*{3}[^\s\"'&,;})*]{0,4}(?:[\s\"'&,;})]|$))"
_HOST_TOKEN = re.compile(rf"(?i)(\btoken{_BETWEEN}){_NO_VERDICT}{_NO_MASK}[^\s\"'&,;}})]{{4,}}")
# Without any of this no pattern above matches: one cheap look instead of eight dear ones, as nearly every line is free of secrets.
_SUSPICIOUS = re.compile(r"key|pass|pwd|secret|token|signature|authorization|/bot|/rest/|://|u-on\.ru|(?::|%3a)[a-z0-9_-]{20}")
_TRACED = "traced"


def redacted(text: str, *, host_tokens: bool = True) -> str:
    """The text without secrets: bot tokens, keys, passwords, Authorization, and host tokens unless told otherwise."""
    if not _SUSPICIOUS.search(text.lower()):
        return text
    for pattern, rest in _SECRETS:
        text = pattern.sub(rest, text)
    return _HOST_TOKEN.sub(rf"\1{_HIDDEN}", text) if host_tokens else text


class RedactingFormatter(logging.Formatter):
    """Formats a record, hides secrets in everything (arguments and tracebacks too) and keeps a message on its line.

    A line break in a message would let whoever sends an event write log lines of his own. `multiline` is for text that we laid out.
    """

    def __init__(self, pattern: str, *, multiline: bool = False) -> None:
        super().__init__(pattern)
        self._multiline = multiline

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the name of logging)
        if not self._multiline:
            record.message = record.message.translate(_NEEDLESS_CHARACTERS)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record), host_tokens=not getattr(record, _TRACED, False))


@attrs.frozen(kw_only=True)
class Rotation:
    """A file that would grow above `limit_bytes` becomes `<name>.1`; `kept_items` of those are kept."""

    limit_bytes: int
    kept_items: int


APP_ROTATION = Rotation(limit_bytes=10 * 1024 * 1024, kept_items=5)
TRACED_ROTATION = Rotation(limit_bytes=5 * 1024 * 1024, kept_items=3)


class LogFile(logging.Handler):
    """A rotated file of UTF-8 lines, opened for appending (O_APPEND: every write goes to the end, wherever that is by now).

    `logging.handlers.RotatingFileHandler` formats each record twice and goes on writing into a file that was moved away.
    """

    def __init__(self, path: Path, pattern: str, rotation: Rotation, *, multiline: bool = False) -> None:
        """Opens the file. OSError when that is impossible."""
        super().__init__()
        self.setFormatter(RedactingFormatter(pattern, multiline=multiline))
        self._path = path.absolute()
        self._path_text = str(self._path)
        self._rotation = rotation
        self._fd = -1
        self._identity = (-1, -1)  # device and inode of what is open
        self._complained = False
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging under the lock of this handler."""
        try:
            # A lone surrogate in a body has no UTF-8; it must not cost the line.
            data = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
            self._make_room(len(data))
            while data:
                data = data[os.write(self._fd, data) :]
            self._complained = False
        except Exception:  # noqa: BLE001  (logging must never break the work that logs: a full disk, a broken format)
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the name of logging)
        """One line until writing works again; the default prints the arguments of the record, secrets included."""
        if not self._complained and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  (None in a service without it)
            self._complained = True
            print(f"{self._path} cannot be written: {sys.exc_info()[1]} (logged by {record.name})", file=sys.stderr)  # noqa: T201

    def close(self) -> None:
        """Nothing is buffered; what was logged is in the file."""
        with self.lock or contextlib.nullcontext():
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
        super().close()

    def _open(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        # Bodies carry people's numbers: not for everybody.
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        opened = os.fstat(self._fd)
        self._identity = (opened.st_dev, opened.st_ino)

    def _make_room(self, bytes_wanted: int) -> None:
        try:
            there = os.stat(self._path_text)  # noqa: PTH116  (once per line, and pathlib takes five times as long)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            return
        if self._fd < 0 or (there.st_dev, there.st_ino) != self._identity:
            self._open()
            return
        if there.st_size and there.st_size + bytes_wanted > self._rotation.limit_bytes:
            for number in range(self._rotation.kept_items, 0, -1):
                older = self._numbered(number - 1)
                if older.exists():
                    older.replace(self._numbered(number))
            self._open()

    def _numbered(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")


@attrs.frozen
class Trace:
    """Writes down every event of the traced enterprises, as the guide shows it."""

    loggers: Mapping[str, logging.Logger]

    def trace_event(self, enterprise_number: str, *, kind: str, token: str, unique_id: str, body_text: str) -> None:
        """Call it once an event has been stored. An enterprise that is not traced leaves one line at DEBUG, without its token.

        Args:
            enterprise_number: as configured, e.g. 0367.
            kind: of the event: start, dial, …
            token: of the host, as sent.
            unique_id: of the channel, as sent.
            body_text: the JSON text as posted.
        """
        events = logging.getLogger(EVENTS_LOGGER)
        token, unique_id = _harmless(token), _harmless(unique_id)
        logger = self.loggers.get(enterprise_number)
        if logger is None:
            events.debug("%s of %s, UniqueId: %s", kind, enterprise_number, unique_id)
            return
        extra = {_TRACED: True}
        logger.info("🧪 TEST EVENT: %s", kind, extra=extra)
        logger.info("📋 Token: %s, UniqueId: %s", token, unique_id, extra=extra)
        logger.info("📦 Full Body: %s", readable(body_text), extra=extra)
        events.info("%s of %s, Token: %s, UniqueId: %s", kind, enterprise_number, token, unique_id, extra=extra)


def readable(body_text: str) -> str:
    """A flat JSON object with a field per line and lists on one line, Cyrillic as letters; anything else as it is, on one line."""
    try:
        body: Any = json.loads(body_text)
        if isinstance(body, dict) and body:
            fields = [f"  {_json(name)}: {_json(value)}" for name, value in cast("dict[str, Any]", body).items()]
            return "{\n" + ",\n".join(fields) + "\n}"
    except (ValueError, RecursionError):
        pass
    return _harmless(body_text)


def _harmless(text: str) -> str:
    """On one line, and with a UTF-8: other handlers than ours (a test's, a supervisor's) may not know what to do with a lone surrogate."""
    return text.translate(_NEEDLESS_CHARACTERS).encode("utf-8", "backslashreplace").decode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def open_logs(
    log_dir: Path,
    *,
    level: str = "INFO",
    traced: Iterable[str] = (),
    app_rotation: Rotation = APP_ROTATION,
    traced_rotation: Rotation = TRACED_ROTATION,
) -> Generator[Trace]:
    """Sends what is logged to the files of `log_dir` while the block runs; afterwards everything is as it was.

    Raises:
        SettingsError: a file cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            log_dir.mkdir(parents=True, exist_ok=True)
            _send(stack, "", LogFile(log_dir / "app.log", APP_FORMAT, app_rotation), level=level)
            _send(stack, ACCESS_LOGGER, LogFile(log_dir / "access.log", PLAIN_FORMAT, app_rotation), level="INFO", propagate=False)
            loggers: dict[str, logging.Logger] = {}
            for number in traced:
                file = LogFile(log_dir / f"{number}.log", PLAIN_FORMAT, traced_rotation, multiline=True)
                loggers[number] = _send(stack, f"{_TRACED_LOGGER}.{number}", file, level="INFO", propagate=False)
        except OSError as exc:
            raise SettingsError(f"log_dir: {log_dir} cannot be written: {exc.strerror or exc}") from exc
        for name in _TALKATIVE:
            _set(stack, logging.getLogger(name), level="WARNING", propagate=True)
        yield Trace(loggers)


def _send(stack: contextlib.ExitStack, name: str, file: LogFile, *, level: str, propagate: bool = True) -> logging.Logger:
    logger = logging.getLogger(name)
    stack.callback(file.close)
    _set(stack, logger, level=level, propagate=propagate)
    logger.addHandler(file)
    stack.callback(logger.removeHandler, file)
    return logger


def _set(stack: contextlib.ExitStack, logger: logging.Logger, *, level: str, propagate: bool) -> None:
    stack.callback(setattr, logger, "propagate", logger.propagate)
    stack.callback(logger.setLevel, logger.level)
    logger.setLevel(level)
    logger.propagate = propagate
