"""Rules of the real Bot API that the fake keeps: which markup is taken, and how much may be sent. Written apart from our client on purpose.

Sources: Bot API, "HTML style"; Bot FAQ, "My bot is hitting limits"; wording of the errors as the Bot API server has it.
"""

import html
import math
import re
from collections import Counter, deque

import attrs

TAGS = frozenset(
    ("b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "span", "tg-spoiler", "a", "tg-emoji", "code", "pre", "blockquote")
)
MOST_CHARACTERS = 4096

# Bot API: only these named entities; any other & stands for itself.
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_START = re.compile(r"<([^\s>/]*)([^>]*)>")
_END = re.compile(r"</\s*([a-zA-Z0-9-]*)\s*>")


class MarkupError(ValueError):
    """What the Bot API says after "can't parse entities: "."""


def visible_text(text: str, parse_mode: str | None) -> str:
    """What a reader sees of it. Raises `MarkupError`."""
    if parse_mode is None:
        return text.strip()
    parts: list[str] = []
    open_tags: list[str] = []
    at = 0
    while at < len(text):
        opening = text.find("<", at)
        if opening < 0:
            opening = len(text)
        parts.append(_ENTITY.sub(lambda found: html.unescape(found.group()), text[at:opening]))
        if opening == len(text):
            break
        at = _take_tag(text, opening, open_tags)
    if open_tags:
        raise MarkupError(f'Can\'t find end tag corresponding to start tag "{open_tags[-1]}"')
    return "".join(parts).strip()


def _take_tag(text: str, at: int, open_tags: list[str]) -> int:
    """Where the tag that begins at `at` ends."""
    offset = len(text[:at].encode("utf-8", "replace"))
    if text.startswith("</", at):
        if not open_tags:
            raise MarkupError(f"Unexpected end tag at byte offset {offset}")
        found = _END.match(text, at)
        if found is None:
            raise MarkupError(f"Unclosed end tag at byte offset {offset}")
        expected, name = open_tags.pop(), found.group(1).lower()
        if name not in ("", expected):
            raise MarkupError(f'Unmatched end tag at byte offset {offset}, expected "</{expected}>", found "</{name}>"')
        return found.end()
    found = _START.match(text, at)
    if found is None:
        raise MarkupError(f"Unclosed start tag at byte offset {offset}")
    name = found.group(1).lower()
    if name not in TAGS or (name == "span" and "tg-spoiler" not in found.group(2)):
        raise MarkupError(f'Unsupported start tag "{name}" at byte offset {offset}')
    open_tags.append(name)
    return found.end()


@attrs.frozen(kw_only=True)
class TrueLimits:
    """What the service stands. `enforced`: answer 429 to what is too much; otherwise it is only counted."""

    per_bot_per_second: int = 30
    per_chat_per_second: float = 1.0
    chat_burst: int = 3
    group_per_minute: int = 20
    enforced: bool = False


@attrs.define
class _Bucket:
    tokens: float
    at: float


# A token bucket in floats loses a little with each step; far below a millisecond of waiting.
_ROUNDING = 1e-6


class Meter:
    """Counts the accepted requests of one bot against the limits. `violations` counts the others, by limit: bot, chat, group."""

    def __init__(self, limits: TrueLimits) -> None:
        self._limits = limits
        self._bot: deque[float] = deque(maxlen=limits.per_bot_per_second)
        self._chats: dict[int, _Bucket] = {}
        self._groups: dict[int, deque[float]] = {}
        self.violations: Counter[str] = Counter()

    def admit(self, chat_id: int, now: float) -> int | None:
        """None when the request is taken, else the seconds after which it may be repeated."""
        limits = self._limits
        waits: dict[str, float] = {}
        if len(self._bot) == self._bot.maxlen and now - self._bot[0] < 1.0:
            waits["bot"] = 1.0 - (now - self._bot[0])
        bucket = self._chats.setdefault(chat_id, _Bucket(limits.chat_burst, now))
        bucket.tokens = min(limits.chat_burst, bucket.tokens + (now - bucket.at) * limits.per_chat_per_second)
        bucket.at = now
        if bucket.tokens < 1 - _ROUNDING:
            waits["chat"] = (1 - bucket.tokens) / limits.per_chat_per_second
        group = self._groups.setdefault(chat_id, deque(maxlen=limits.group_per_minute)) if chat_id < 0 else None
        if group is not None and len(group) == group.maxlen and now - group[0] < 60.0:
            waits["group"] = 60.0 - (now - group[0])
        self.violations.update(waits.keys())
        if waits and limits.enforced:
            return max(1, math.ceil(max(waits.values())))
        self._bot.append(now)
        bucket.tokens = max(0.0, bucket.tokens - 1)
        if group is not None:
            group.append(now)
        return None
