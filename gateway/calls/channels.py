"""Names of channels and their ids: the surest way to know who a leg is.

Facts: a channel is named `SIP/<peer>-<8 hex>` (PJSIP alike) or `Local/<exten>@<context>-<8 hex>;1` and `;2`, the two ends of one pair; a
UniqueId is `<unix seconds of creation>.<counter>`, the counter grows by one per channel, and `;2` is made right after `;1` (Asterisk).
"""

import re
from enum import Enum, auto
from functools import lru_cache

import attrs

from gateway.calls.phones import is_internal

_LOCAL = re.compile(r"Local/([^@]*)@(.*?);([12])")
_PEER = re.compile(r"[A-Za-z0-9_]+/(.+?)(?:-[0-9A-Fa-f]{1,12})?")
_UNIQUE_ID = re.compile(r"([0-9]{1,12})\.([0-9]{1,9})")
_CACHED_ITEMS = 4096
CONSULTATION_CONTEXT = "dialexecute"


class ChannelKind(Enum):
    """What a channel stands for: a telephone of the enterprise, a line to the outside, one end of a Local pair."""

    EXTENSION = auto()
    TRUNK = auto()
    LOCAL = auto()
    UNKNOWN = auto()


@attrs.frozen
class Channel:
    """A channel name taken apart. `peer`: extension, line, or the number a Local pair calls. `pair` and `half` (1, 2) only for Local."""

    kind: ChannelKind
    peer: str
    pair: str = ""
    half: int = 0

    @property
    def is_consultation(self) -> bool:
        """Whether this is an end of the pair that a transferor's telephone makes to ask the target."""
        return self.kind is ChannelKind.LOCAL and self.pair.partition("@")[2].startswith(CONSULTATION_CONTEXT)


NO_CHANNEL = Channel(ChannelKind.UNKNOWN, "")


# A pure function: the cache only saves the time, since the webhooks of a channel come together. About 400 bytes each.
@lru_cache(maxsize=_CACHED_ITEMS)
def parse_channel(name: str) -> Channel:
    """Take a channel name apart; what cannot be read is UNKNOWN."""
    if name.startswith("Local/"):
        local = _LOCAL.fullmatch(name)
        if local is None:
            return NO_CHANNEL
        return Channel(ChannelKind.LOCAL, local[1], name[6:-2], int(local[3]))
    peer = _PEER.fullmatch(name)
    if peer is None:
        return NO_CHANNEL
    return Channel(ChannelKind.EXTENSION if is_internal(peer[1]) else ChannelKind.TRUNK, peer[1])


@attrs.frozen(order=True)
class ChannelId:
    """A UniqueId as numbers, so that ids can be ordered by creation."""

    seconds: int
    counter: int


def parse_unique_id(unique_id: str) -> ChannelId | None:
    """Read a UniqueId, None when it has another form."""
    match = _UNIQUE_ID.fullmatch(unique_id)
    return ChannelId(int(match[1]), int(match[2])) if match else None


def neighbour(unique_id: str, step: int) -> str:
    """The id of the channel created `step` channels later in the same second; "" when the id has another form."""
    match = _UNIQUE_ID.fullmatch(unique_id)
    return f"{match[1]}.{int(match[2]) + step}" if match else ""
