"""A thousand calls at once, five subscribers, and a Bot API that answers 429 for the first five seconds.

The real service with its lanes, limits and couriers on a mocked clock: a chat takes one message a second, so in real time the finals alone
would need a quarter of an hour. The store is the one in memory, Telegram is the fake, which counts every request above the limits of the
real one. Half of the calls are answered (their finals are edits), half are missed (a new message, then the old one is deleted).
"""

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from zoneinfo import ZoneInfo

import attrs
import trio
from trio.testing import MockClock

from benchmarks.common import MIB, Figure, main, note, peak_rss_bytes, pin, rss_bytes
from benchmarks.switchboard import answered, missed
from gateway.ports import IncomingEvent
from tester import pbx
from tester.virtual import HOST, JUNE, NOON, NUMBER, House, Process, open_house

NAME = "burst"
SUBSCRIBERS = tuple(range(1001, 1006))
FLOOD_SECONDS = 5.0
FINALS = ("✅", "❌")
# Ended calls stay in memory for their last half minute, as events of theirs may still come.
AFTER_SECONDS = 120.0


@attrs.define
class Seen:
    """What the run showed."""

    calls: int
    finals: int = 0
    messages: int = 0
    requests: int = 0
    violations: int = 0
    most_cards: int = 0
    most_waiting: int = 0
    left_cards: int = 0
    left_calls: int = 0
    done_after_seconds: float = 0.0
    grown_bytes: int = 0

    def take(self, house: House) -> None:
        """Count what is in the chats in the end."""
        for chat_id in SUBSCRIBERS:
            living = house.telegram.living(chat_id)
            self.messages += len(living)
            self.finals += sum(message.text.startswith(FINALS) for message in living)
        self.requests = len(house.telegram.requests)
        self.violations = house.telegram.violations.total()


def webhooks(calls: int) -> list[tuple[float, IncomingEvent]]:
    """All events of all calls, which begin in the same second, in the order of their times."""
    found: list[tuple[float, IncomingEvent]] = []
    for place in range(calls):
        host = pbx.Host(HOST, NOON, ZoneInfo("Europe/Minsk"), seed=place * 16)
        play = missed if place % 2 else answered
        play(host, f"37529000{place:04}", f"{150 + place % 10}", f"{160 + place % 10}")
        for posted in host.posted:
            text = json.dumps(posted.body)
            event = IncomingEvent(
                enterprise_number=NUMBER,
                kind=posted.kind,
                unique_id=str(posted.body["UniqueId"]),
                raw_body=text,
                body_hash=sha256(text.encode()).digest(),
                received_at=NOON,
            )
            found.append((posted.at_seconds, event))
    found.sort(key=lambda one: one[0])
    return found


async def burst(calls: int) -> Seen:
    seen = Seen(calls)
    script = webhooks(calls)
    async with trio.open_nursery() as nursery, open_house(nursery) as house:
        await house.configure(attrs.evolve(JUNE, subscribers=SUBSCRIBERS))
        process = await house.start()
        before = rss_bytes()
        house.telegram.too_many(FLOOD_SECONDS)
        began = trio.current_time()
        nursery.start_soon(watch, process, seen)
        for at_seconds, event in script:
            await trio.sleep_until(began + at_seconds)
            process.running.journal.submit(attrs.evolve(event, received_at=house.clock()))
        await trio.sleep(1)
        await process.running.delivery.idle()
        seen.done_after_seconds = trio.current_time() - began
        seen.grown_bytes = peak_rss_bytes() - before
        await trio.sleep(AFTER_SECONDS)
        seen.left_cards, seen.left_calls = process.running.delivery.held_cards, process.running.lanes.open_calls
        await process.stop()
        seen.take(house)
        nursery.cancel_scope.cancel()
    return seen


async def watch(process: Process, seen: Seen) -> None:
    """Look at what memory holds, every virtual second."""
    while True:
        seen.most_cards = max(seen.most_cards, process.running.delivery.held_cards)
        seen.most_waiting = max(seen.most_waiting, process.running.delivery.waiting_cards)
        await trio.sleep(1)


def measure(quick: bool) -> Iterator[Figure]:
    pin(0)
    calls = 100 if quick else 1000
    note(f"{calls} calls in virtual time")
    began = time.process_time()
    seen = trio.run(burst, calls, clock=MockClock(autojump_threshold=0))
    spent = time.process_time() - began
    chats = len(SUBSCRIBERS)
    yield Figure(
        benchmark=NAME, name=f"finals shown of those owed ({calls} calls, {chats} chats)", value=seen.finals / calls / chats, wanted=">= 1"
    )
    yield Figure(
        benchmark=NAME, name="messages that are not a final, or one too many", value=seen.messages - seen.finals, wanted="<= 0", digits=0
    )
    yield Figure(
        benchmark=NAME, name="requests above a limit of the Bot API after the pause", value=seen.violations, wanted="<= 0", digits=0
    )
    yield Figure(benchmark=NAME, name="most cards in memory for each open call", value=seen.most_cards / calls, wanted="<= 1")
    yield Figure(
        benchmark=NAME, name="most cards on their way for each open call and chat", value=seen.most_waiting / calls / chats, wanted="<= 1"
    )
    yield Figure(
        benchmark=NAME, name="calls and cards in memory when all is told", value=seen.left_calls + seen.left_cards, wanted="<= 0", digits=0
    )
    yield Figure(
        benchmark=NAME,
        name="  peak memory above the idle gateway, store and Telegram included",
        value=seen.grown_bytes / MIB,
        unit="MB",
        digits=1,
    )
    yield Figure(benchmark=NAME, name="  requests for each final", value=seen.requests / calls / chats)
    yield Figure(benchmark=NAME, name="  the last final is there after, virtual", value=seen.done_after_seconds, unit="s", digits=0)
    yield Figure(benchmark=NAME, name="  CPU of all of it", value=spent, unit="s", digits=1)


if __name__ == "__main__":
    main(measure)
