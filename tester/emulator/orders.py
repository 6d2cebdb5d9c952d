"""What can be asked of the emulator: which call, by whom, how fast, and what is to be broken on the way."""

from collections.abc import Mapping
from enum import StrEnum

import attrs


class Pace(StrEnum):
    """How fast a call is played: as it happened, ten times as fast, one event at each step, or without any waiting."""

    REAL = "1"
    TEN = "10"
    STEP = "step"
    FAST = "max"


class EventTrouble(StrEnum):
    """What befalls one webhook on its way: it never leaves, goes out twice, goes out late, or changes places with the next one."""

    LOSE = "lose"
    DOUBLE = "double"
    DELAY = "delay"
    SWAP = "swap"


LONGEST_DELAY_SECONDS = 60.0
"""What a delay is there for, arriving after the events that follow, needs seconds."""


@attrs.frozen(kw_only=True)
class EventFault:
    """The trouble of the webhook number `index` (from 0) of the script. `seconds`: how late, DELAY only."""

    index: int
    trouble: EventTrouble
    seconds: float = 0.0

    def __str__(self) -> str:
        """As `gateway emulate --fault` takes it, where events count from 1."""
        return f"{self.trouble}:{self.index + 1}" + (f":{self.seconds:g}" if self.trouble is EventTrouble.DELAY else "")


class TelegramTrouble(StrEnum):
    """What Telegram answers while the call is played: it is asked too often, it is broken, the subscriber has blocked the bot."""

    TOO_MANY = "429"
    BROKEN = "5xx"
    BLOCKED = "blocked"


@attrs.frozen(kw_only=True)
class Faults:
    """Everything that is to be broken. `crm_hangs`: the CRMs of the enterprise take requests and do not answer."""

    events: tuple[EventFault, ...] = ()
    telegram: TelegramTrouble | None = None
    crm_hangs: bool = False

    def __bool__(self) -> bool:
        return bool(self.events) or self.telegram is not None or self.crm_hangs

    def __str__(self) -> str:
        """As `gateway emulate --fault` takes them, where events count from 1; "" for none."""
        telegram = [f"telegram:{self.telegram}"] if self.telegram is not None else []
        return " ".join([*map(str, self.events), *telegram, *(["crm"] if self.crm_hangs else [])])


LOCAL = ""
"""The target that is the gateway of this process."""


@attrs.frozen(kw_only=True)
class Order:
    """A call to be played.

    `enterprise`: its number. `pattern`: its key. `values`: numbers by the key of a role, as typed in. `target`: `LOCAL`, or one of the
    addresses of the setting `tester_targets`. `linkedid`: whether the host sends `Linkedid`, as newer ones do.
    """

    enterprise: str
    pattern: str
    values: Mapping[str, str]
    pace: Pace = Pace.REAL
    faults: Faults = attrs.field(factory=Faults)
    target: str = LOCAL
    linkedid: bool = False


class RunState(StrEnum):
    """Where a run is. `JUDGING`: everything is posted, the chat is waited for. The last three are ends."""

    RUNNING = "running"
    PAUSED = "paused"
    JUDGING = "judging"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self in (RunState.DONE, RunState.STOPPED, RunState.FAILED)


LEFT_PAUSED = "left_paused"
"""The reason that a run tells which was stopped because it was paused and nobody pressed a button any more."""


class Judgement(StrEnum):
    """`EXPECTED`: every chat shows what is owed. `DIFFERENT`: it does not. `UNSEEN`: no chat can be looked at from here."""

    EXPECTED = "expected"
    DIFFERENT = "different"
    UNSEEN = "unseen"


@attrs.frozen(kw_only=True)
class Verdict:
    """How a run ended. `differences`: one line each, for people; also why nothing could be seen."""

    judgement: Judgement
    differences: tuple[str, ...] = ()
