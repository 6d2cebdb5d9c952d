"""Recordings that become known after the end: the CRMs hear of them, the card shows them, whatever has become of the call meanwhile."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.calls.recording import RecordedCall, Recording
from gateway.calls.report import ReportKind
from gateway.crm.base import CrmKind
from gateway.crm.registry import Crms
from gateway.errors import StoreRejected
from gateway.nurseries import recordings
from gateway.nurseries.clock import TrioClock
from gateway.nurseries.listener import Notice
from gateway.nurseries.patience import Patience
from gateway.nurseries.recordings import Recordings
from gateway.ports import PushKey
from tester.fakes.crm import HANG, Play, ScriptedCrm
from tester.memory import MemoryStore
from tester.virtual import BOT, JUNE, NOON, NUMBER, Claims, House

DIAL, HANGUP, RECORDING = ReportKind
URL = "https://pbx.example/recordings/file/1"
LINE = f'🔉 <a href="{URL}">Запись разговора</a>'


async def crm_of(house: House) -> ScriptedCrm:
    crm = ScriptedCrm(CrmKind.OWN)
    house.crms = Crms({CrmKind.OWN: crm.maker})
    await house.configure(attrs.evolve(JUNE, integrations={"own": {"enabled": True}}))
    return crm


async def a_call(house: House, unique_id: str = "1.1") -> None:
    await house.ring(unique_id)
    await trio.sleep(5)
    await house.hang_up(unique_id)
    await trio.sleep(5)


def told(crm: ScriptedCrm) -> list[tuple[ReportKind, str]]:
    return [(pushed.report.kind, pushed.report.recording_url) for pushed in crm.pushes]


def lines(house: House, chat_id: int = 1001) -> list[list[str]]:
    """The living messages of a chat, line by line."""
    return [message.text.split("\n") for message in house.telegram.living(chat_id)]


async def test_a_recording_is_told_and_shown_when_its_link_is_written(house: House, autojump_clock: MockClock) -> None:
    crm = await crm_of(house)
    await house.start()
    await a_call(house)
    before = house.messages()
    await house.write_record_url(URL)
    await trio.sleep(5)
    assert told(crm) == [(DIAL, ""), (HANGUP, ""), (RECORDING, URL)]
    hangup, recording = (pushed.report for pushed in crm.pushes[1:])
    assert recording == attrs.evolve(hangup, kind=RECORDING, recording_url=URL)
    [text] = lines(house)
    assert text[-1] == LINE
    assert [message.message_id for message in house.messages()] == [message.message_id for message in before]
    await house.write_record_url(URL)
    await trio.sleep(60)
    assert len(crm.pushes) == 3


@pytest.mark.parametrize("minutes", [5, 47 * 60])
async def test_a_call_that_memory_has_forgotten_gets_its_recording_and_is_forgotten_again(
    house: House, autojump_clock: MockClock, minutes: int
) -> None:
    crm = await crm_of(house)
    process = await house.start()
    await a_call(house)
    await trio.sleep(minutes * 60)
    assert process.running.lanes.open_calls == 0
    sent = house.requests("sendMessage")
    await house.write_record_url(URL)
    await trio.sleep(120)
    assert told(crm)[-1] == (RECORDING, URL)
    assert lines(house)[0][-1] == LINE
    assert house.requests("sendMessage") == sent
    assert (process.running.lanes.open_calls, process.running.delivery.held_cards) == (0, 0)
    assert await house.store.live_events(NUMBER) == []
    assert len(await house.store.calls(NUMBER, limit=9)) == 1


async def test_of_an_old_call_the_crms_hear_and_the_message_stays(house: House, autojump_clock: MockClock) -> None:
    crm = await crm_of(house)
    await house.start()
    await a_call(house)
    await trio.sleep(49 * 3600)
    requests = house.requests("editMessageText")
    await house.write_record_url(URL)
    await trio.sleep(60)
    assert told(crm)[-1] == (RECORDING, URL)
    assert house.requests("editMessageText") == requests


async def test_whoever_subscribed_after_the_call_does_not_hear_of_it_now(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await a_call(house)
    await trio.sleep(600)
    await house.configure(attrs.evolve(JUNE, subscribers=(1001, 1002)))
    await trio.sleep(1)
    await house.write_record_url(URL)
    await trio.sleep(60)
    assert lines(house)[0][-1] == LINE
    assert house.messages(1002) == ()


async def test_the_link_outlives_restarts_and_corrections(house: House, autojump_clock: MockClock) -> None:
    process = await house.start()
    await a_call(house)
    await house.write_record_url(URL)
    await trio.sleep(1)
    await process.kill()
    process = await house.start()
    await trio.sleep(5)
    assert lines(house)[0][-1] == LINE
    await trio.sleep(600)
    edits = house.requests("editMessageText")
    await house.hang_up(seconds=80)
    await trio.sleep(5)
    assert house.requests("editMessageText") == edits + 1
    [text] = lines(house)
    assert "01:20" in text[0]
    assert text[-1] == LINE


async def test_a_link_that_was_written_while_nobody_listened_is_found_at_the_start(house: House, autojump_clock: MockClock) -> None:
    crm = await crm_of(house)
    process = await house.start()
    await a_call(house)
    await process.stop()
    await house.write_record_url(URL)
    house.changed.clear()
    await house.start()
    await trio.sleep(5)
    assert told(crm) == [(DIAL, ""), (HANGUP, ""), (RECORDING, URL)]


async def test_a_link_that_comes_while_the_crm_is_being_told_follows(house: House, autojump_clock: MockClock) -> None:
    crm = await crm_of(house)
    crm.play(Play(), Play(delay_seconds=1.5))
    await house.start()
    await house.ring()
    await trio.sleep(5)
    await house.hang_up()
    await crm.until(lambda: len(crm.pushes) == 2)
    await trio.sleep(1)
    await house.write_record_url(URL)
    await trio.sleep(60)
    assert told(crm) == [(DIAL, ""), (HANGUP, ""), (RECORDING, URL)]


async def test_a_link_that_comes_before_the_crm_is_told_goes_with_the_end(house: House, autojump_clock: MockClock) -> None:
    crm = await crm_of(house)
    crm.play(HANG)
    await house.start()
    await house.ring()
    await house.hang_up()
    await trio.sleep(1)
    await house.write_record_url(URL)
    await trio.sleep(600)
    assert told(crm)[-1] == (HANGUP, URL)
    assert RECORDING not in [kind for kind, _ in told(crm)]


async def test_what_is_no_address_changes_nothing(house: House, autojump_clock: MockClock) -> None:
    crm = await crm_of(house)
    await house.start()
    await a_call(house)
    before = lines(house)
    await house.write_record_url("soon")
    await trio.sleep(60)
    assert len(crm.pushes) == 2
    assert lines(house) == before


async def test_a_call_that_nobody_knows_disturbs_nobody(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await house.write_record_url(URL, call_id=99)
    house.changed.append(RecordedCall("0999", 1))
    await a_call(house)
    assert len(lines(house)) == 1


async def test_a_chat_without_the_message_gets_no_new_one(house: House, autojump_clock: MockClock) -> None:
    await house.start()
    await a_call(house)
    await trio.sleep(600)
    await house.store.unsubscribe(bot_token=BOT, chat_id=1001)
    house.tell(NUMBER)
    await trio.sleep(1)
    requests = house.requests()
    await house.write_record_url(URL)
    await trio.sleep(60)
    assert house.requests() == requests


# the worker alone


@attrs.define(eq=False)
class Desk(MemoryStore):
    """A store that says which recordings it was asked to take."""

    asked: list[int] = attrs.field(factory=list[int])
    missed: list[RecordedCall] = attrs.field(factory=list[RecordedCall])
    refused: int = 0

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    async def accept_recording(self, enterprise_number: str, recording: Recording) -> Sequence[PushKey]:
        await trio.lowlevel.checkpoint()
        if recording.call_id == self.refused:
            raise StoreRejected("a number that cannot be")
        if self.unavailable:
            return await super().accept_recording(enterprise_number, recording)
        self.asked.append(recording.call_id)
        return [PushKey(enterprise_number, recording.call_id, "own", HANGUP)]

    async def untold_recordings(self, *, since: object, after: RecordedCall | None, limit: int) -> Sequence[RecordedCall]:
        await trio.lowlevel.checkpoint()
        assert since == TrioClock(NOON)() - recordings.LOOK_BACK
        return [call for call in self.missed if after is None or call.call_id > after.call_id][:limit]


def worker(store: MemoryStore, shown: list[int], pushed: list[int]) -> Recordings:
    return Recordings(
        store=store,
        clock=TrioClock(NOON),
        patience=Patience(jitter=lambda: 1.0),
        push=lambda keys: pushed.extend(key.call_id for key in keys),
        show=lambda call: shown.append(call.call_id),
    )


async def test_each_call_is_taken_once_though_it_is_told_of_again_and_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    store, shown, pushed = Desk(), list[int](), list[int]()
    room = worker(store, shown, pushed)
    for call_id in (1, 2, 1, 1):
        room.heard(RecordedCall(NUMBER, call_id))
    nursery.start_soon(room.run)
    await trio.sleep(1)
    assert (store.asked, shown, pushed) == ([1, 2], [1, 2], [1, 2])
    room.heard(RecordedCall(NUMBER, 1))
    await trio.sleep(1)
    assert store.asked == [1, 2, 1]
    nursery.cancel_scope.cancel()


async def test_what_does_not_fit_is_looked_for(nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MOST_WAITING", 2)
    monkeypatch.setattr(recordings, "PAGE_CALLS", 2)
    store, shown, pushed = Desk(), list[int](), list[int]()
    store.missed = [RecordedCall(NUMBER, call_id) for call_id in (3, 4, 5, 6, 7)]
    room = worker(store, shown, pushed)
    for call_id in range(1, 5):
        room.heard(RecordedCall(NUMBER, call_id))
    nursery.start_soon(room.run)
    await trio.sleep(0.5)
    assert store.asked == [1, 2, 3, 4, 5, 6, 7]
    nursery.cancel_scope.cancel()


async def test_the_worker_waits_for_the_store_and_passes_over_what_it_refuses(
    nursery: trio.Nursery, autojump_clock: MockClock, expected_errors: Claims
) -> None:
    store, shown, pushed = Desk(refused=1), list[int](), list[int]()
    room = worker(store, shown, pushed)
    store.unavailable = True
    nursery.start_soon(room.run)
    for call_id in (1, 2):
        room.heard(RecordedCall(NUMBER, call_id))
    await trio.sleep(3)
    assert shown == []
    store.unavailable = False
    await trio.sleep(6)
    assert (shown, pushed) == ([2], [2])
    assert len(expected_errors.claim("cannot be followed")) == 1
    nursery.cancel_scope.cancel()


async def test_the_listener_hands_recordings_on_and_reads_nothing_for_them(house: House, autojump_clock: MockClock) -> None:
    heard: list[Notice] = ["0367", RecordedCall(NUMBER, 7)]

    @asynccontextmanager
    async def notices() -> AsyncGenerator[AsyncIterable[Notice]]:
        async def each() -> AsyncGenerator[Notice]:
            for notice in heard:
                yield notice
            await trio.sleep_forever()

        source = each()
        try:
            yield source
        finally:
            await source.aclose()

    house.notices = notices
    process = await house.start()
    await trio.sleep(5)
    assert process.running.lookups.configurations.full_refreshes == 1
