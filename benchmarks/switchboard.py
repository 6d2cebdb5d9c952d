"""The switchboard: events a second on one core, and what memory keeps of calls that have ended.

Calls of every common kind are played one after another and overlapping, as a busy enterprise has them; the events' own clock moves with
them, so that ended calls are forgotten as they are in life. Speed is taken from CPU time, the best of several rounds: neighbours on the
machine make a round slower, never faster.
"""

import gc
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from benchmarks.common import MIB, Figure, main, note, pin, rss_bytes
from gateway import handlers
from gateway.calls.closing import Timing
from gateway.calls.codec import decode_text
from gateway.calls.switchboard import Switchboard
from gateway.cards.board import Board
from gateway.handlers.callerid import announces_transfer
from gateway.ports import StoredEvent
from tester import pbx

NAME = "switchboard"
ZONE = ZoneInfo("Europe/Minsk")
BEGAN_AT = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
NUMBER = "0367"
LINE = "0001363"
# Calls overlap: the next one begins this long after the one before it. Calls last about a minute, so about a dozen are open.
CALL_EVERY_SECONDS = 5.0
COLLEAGUES = tuple(f"15{last}" for last in range(10))


def answered(host: pbx.Host, phone: str, extension: str, other: str) -> None:
    talk = pbx.incoming(host, phone, LINE)
    talk.ring(extension, other)
    host.wait(6)
    talk.answer(extension)
    host.wait(50)
    talk.end()


def missed(host: pbx.Host, phone: str, extension: str, other: str) -> None:
    talk = pbx.incoming(host, phone, LINE)
    talk.ring(extension)
    host.wait(15)
    talk.ring(extension, other)
    host.wait(15)
    talk.end()


def transferred(host: pbx.Host, phone: str, extension: str, other: str) -> None:
    talk = pbx.incoming(host, phone, LINE)
    talk.ring(extension)
    host.wait(4)
    talk.answer(extension)
    host.wait(20)
    talk.attend(other, accepted=True)
    host.wait(30)
    talk.end()


def between_colleagues(host: pbx.Host, phone: str, extension: str, other: str) -> None:
    del phone
    pbx.internal(host, extension, other, ring_seconds=5, talk_seconds=30)


def outgoing(host: pbx.Host, phone: str, extension: str, other: str) -> None:
    del other
    talk = pbx.outgoing(host, extension, phone, LINE)
    host.wait(12)
    pbx.connect(talk)
    host.wait(40)
    talk.end()


# Of twenty calls: what a sales department has in a day, as the logs of one showed.
MIX: Sequence[Callable[[pbx.Host, str, str, str], None]] = (
    *(9 * [answered]),
    *(4 * [missed]),
    *(4 * [outgoing]),
    *(2 * [between_colleagues]),
    transferred,
)


def events_of(calls: int) -> Iterator[StoredEvent]:
    """The events of so many calls in the order of their times, made as they are asked for."""
    waiting: list[tuple[datetime, int, str, str, str]] = []
    event_id = 0
    made = 0
    for place in range(calls):
        began = BEGAN_AT + timedelta(seconds=place * CALL_EVERY_SECONDS)
        # No event of a later call is older than its beginning, so what is older now is complete.
        due = [one for one in waiting if one[0] < began]
        waiting = [one for one in waiting if one[0] >= began]
        for at, _, kind, unique_id, raw_body in sorted(due):
            event_id += 1
            yield _event(event_id, at, kind, unique_id, raw_body)
        host = pbx.Host("375293332255", began, ZONE, seed=place * 16)
        # 7 and 20 have no common divisor: kinds come mixed, and every run has the same ones.
        phone = f"37529000{place % 10_000:04d}"
        extension, other = COLLEAGUES[place % 10], COLLEAGUES[(place * 3 + 1) % 10]
        MIX[place * 7 % len(MIX)](host, phone, extension, other if other != extension else "199")
        for posted in host.posted:
            made += 1
            at = began + timedelta(seconds=posted.at_seconds)
            waiting.append((at, made, posted.kind, str(posted.body.get("UniqueId", "")), json.dumps(posted.body)))
    for at, _, kind, unique_id, raw_body in sorted(waiting):
        event_id += 1
        yield _event(event_id, at, kind, unique_id, raw_body)


def _event(event_id: int, at: datetime, kind: str, unique_id: str, raw_body: str) -> StoredEvent:
    return StoredEvent(event_id=event_id, enterprise_number=NUMBER, kind=kind, unique_id=unique_id, raw_body=raw_body, received_at=at)


def new_board() -> Board:
    return Board(zone=ZONE, line_rules={LINE: "375{9}"}, timing=Timing())


def understand(events: Iterable[StoredEvent]) -> None:
    """From the body to the call: what `gateway.calls` and `gateway.handlers` do."""
    switchboard = Switchboard(handle=handlers.apply, announces_transfer=announces_transfer, timing=Timing())
    for event in events:
        due = switchboard.next_deadline()
        if due is not None and due <= event.received_at:
            switchboard.advance(event.received_at)
        decoded = decode_text(event.kind, event.raw_body, event_id=event.event_id, at=event.received_at, zone=ZONE)
        if decoded is not None:
            switchboard.apply(decoded)


def play(events: Iterable[StoredEvent]) -> None:
    """From the body to the card: all that a lane does with events but for the store."""
    board = new_board()
    for event in events:
        due = board.next_deadline()
        if due is not None and due <= event.received_at:
            board.advance(event.received_at)
        board.apply(event)


def decode(events: Iterable[StoredEvent]) -> None:
    for event in events:
        decode_text(event.kind, event.raw_body, event_id=event.event_id, at=event.received_at, zone=ZONE)


def read_json(events: Iterable[StoredEvent]) -> None:
    for event in events:
        json.loads(event.raw_body)


def speed(*, quick: bool) -> Iterator[Figure]:
    calls, rounds = 200, 10 if quick else 60
    events = list(events_of(calls))
    note(f"{len(events)} events of {calls} calls, {rounds} rounds")
    best = dict.fromkeys((understand, play, decode, read_json), 0.0)
    for _ in range(rounds):
        for work in best:
            gc.collect()
            began = time.process_time()
            work(events)
            best[work] = max(best[work], len(events) / (time.process_time() - began))
    understanding = 1 / (1 / best[understand] - 1 / best[decode])
    yield Figure(benchmark=NAME, name="body to call", value=best[understand], unit="events/s", wanted=">= 20000", digits=0)
    yield Figure(benchmark=NAME, name="  of it: body to event", value=best[decode], unit="events/s", digits=0)
    yield Figure(benchmark=NAME, name="  of it: event to call", value=understanding, unit="events/s", digits=0)
    yield Figure(benchmark=NAME, name="  with the card: body to card", value=best[play], unit="events/s", digits=0)
    yield Figure(benchmark=NAME, name="  reading its JSON alone, for comparison", value=best[read_json], unit="events/s", digits=0)
    yield Figure(benchmark=NAME, name="body to call against reading its JSON", value=best[read_json] / best[understand], unit="x", digits=1)


def memory(*, quick: bool) -> Iterator[Figure]:
    calls, warm_calls = (12_000, 2000) if quick else (102_000, 2000)
    board = new_board()
    before = 0
    ended = 0
    most_open = 0
    for event in events_of(calls):
        board.advance(event.received_at)
        ended += len(board.apply(event).records)
        if not before and ended >= warm_calls:
            # Caches of the interpreter and the pools of its allocator have filled by now; what comes on top would be ours.
            gc.collect()
            before = rss_bytes()
        most_open = max(most_open, board.open_calls)
    gc.collect()
    grown = rss_bytes() - before
    yield Figure(benchmark=NAME, name=f"memory grown over {calls - warm_calls:,} ended calls", value=grown / MIB, unit="MB", wanted="<= 10")
    yield Figure(benchmark=NAME, name="  most calls in memory at one time", value=most_open, digits=0)


def measure(quick: bool) -> Iterator[Figure]:
    pin(0)
    yield from speed(quick=quick)
    note("memory")
    yield from memory(quick=quick)


if __name__ == "__main__":
    main(measure)
