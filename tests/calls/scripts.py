"""Hypothesis strategies for calls: what telephones may do, one call after another or at the same time, on one host."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tester import pbx
from tester.pbx import Host, Posted, Talk

TOKEN = "375290009999"
CUSTOMER = "375290001234"
MOBILE = "375290000151"
LINE = "0001363"
EXTENSIONS = ("150", "151", "152")
CHANNEL_KINDS = frozenset({"bridge", "bridge_leave", "bridge_create", "bridge_destroy", "new_callerid"})

Step = Callable[[Talk], None]


def host(*, linkedid: bool = False, seed: int = 0) -> Host:
    """A host at a fixed time."""
    return Host(TOKEN, datetime(2026, 11, 23, 8, 0, tzinfo=UTC), ZoneInfo("Europe/Minsk"), seed=seed, linkedid=linkedid)


@st.composite
def talks(draw: st.DrawFn, *, linkedid: bool | None = None) -> list[Posted]:
    """One call of a customer: rung or dialled, answered or not, moved about, ended by either side, its last hangup sent or not."""
    at = host(linkedid=draw(st.booleans()) if linkedid is None else linkedid, seed=draw(st.integers(0, 500)))
    talk = _begin(draw, at)
    if talk.answered:
        for _ in range(draw(st.integers(0, 3))):
            at.wait(draw(st.sampled_from((0.5, 4.0))))
            _move(draw, talk)
            if talk.holder is None or talk.holder.number == MOBILE:
                break
    at.wait(draw(st.sampled_from((0.2, 5.0))))
    talk.end(by_customer=draw(st.booleans()), hangup=not talk.answered or draw(st.integers(0, 3)) > 0)
    return at.posted


def _begin(draw: st.DrawFn, at: Host) -> Talk:
    if draw(st.booleans()):
        talk = pbx.outgoing(at, draw(st.sampled_from(EXTENSIONS)), CUSTOMER, LINE)
        at.wait(3)
        if draw(st.booleans()):
            pbx.connect(talk)
        else:
            talk.holder = None
        return talk
    talk = pbx.incoming(at, CUSTOMER, LINE, greeting_seconds=draw(st.sampled_from((0.0, 8.0))))
    size = draw(st.integers(1, len(EXTENSIONS)))
    for step in range(1, size + 1):
        talk.ring(*EXTENSIONS[:step])
        at.wait(2)
    ending = draw(st.sampled_from(("answered", "missed", "mobile", "mobile refused")))
    if ending == "answered":
        talk.answer(draw(st.sampled_from(EXTENSIONS[:size])), called_first=draw(st.booleans()))
    elif ending == "mobile":
        talk.ring(*EXTENSIONS[:size], MOBILE)
        talk.mobile_answers(MOBILE)
    elif ending == "mobile refused":
        talk.ring(*EXTENSIONS[:size], MOBILE)
        talk.mobile_gives_up(MOBILE)
    return talk


def _move(draw: st.DrawFn, talk: Talk) -> None:
    if talk.holder is None or talk.holder.number == MOBILE:
        return
    target = draw(st.sampled_from([number for number in EXTENSIONS if number != talk.holder.number]))
    kind = draw(st.sampled_from(("accepted", "refused", "not picked up", "blind", "blind not answered")))
    match kind:
        case "blind" | "blind not answered":
            # The host plays one blind transfer a call: after it another channel runs the dialplan.
            if not talk.moved:
                talk.blind(target, answered=kind == "blind")
        case _:
            talk.attend(target, accepted=kind == "accepted", picked_up=kind != "not picked up")


@st.composite
def disturbed(draw: st.DrawFn, script: list[Posted]) -> list[Posted]:
    """The same call with any channel event lost and neighbours within three places of each other in another order."""
    channel_events = [index for index, posted in enumerate(script) if posted.kind in CHANNEL_KINDS]
    lost = draw(st.one_of(st.just(-1), st.sampled_from(channel_events))) if channel_events else -1
    places = [(index + draw(st.floats(0, 3, allow_nan=False)), index, posted) for index, posted in enumerate(script) if index != lost]
    return [posted for _, _, posted in sorted(places, key=lambda place: (place[0], place[1]))]
