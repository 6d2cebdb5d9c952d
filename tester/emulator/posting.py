"""The webhooks of a run go out, each at its time, and what became of each is told and written down."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import attrs
import trio

from gateway.nurseries.clock import Clock
from tester.emulator.event_log import EventLog, Exchange, masked_body
from tester.emulator.faults import Sending
from tester.emulator.journal import Journal
from tester.emulator.pacer import Pacer
from tester.emulator.sight import Sight
from tester.emulator.wording import Wording
from tester.host import Posted
from tester.player import Delivery, Player


@attrs.define(eq=False, kw_only=True)
class Posting:
    """What a run sends. `gone`: the webhooks that have left, or were lost."""

    run_id: str
    player: Player
    pacer: Pacer
    sight: Sight
    journal: Journal
    log: EventLog
    clock: Clock
    gone: set[int] = attrs.field(factory=set[int], init=False)
    # Number, kind and error of each webhook that was not accepted.
    _refused: list[tuple[int, str, str]] = attrs.field(factory=list[tuple[int, str, str]], init=False)

    def refusals(self, wording: Wording) -> Sequence[str]:
        """A line for each webhook that was not accepted."""
        return [wording.not_accepted.format(number=number, kind=kind, error=error) for number, kind, error in self._refused]

    async def post_all(self, sendings: Sequence[Sending]) -> None:
        """Raises: `tester.emulator.pacer.LeftPaused`. Cancelled: a webhook that is under way is written down as such."""
        async with self.player.connected() as post:
            for sending in sendings:
                await self.pacer.until(sending.at_seconds)
                if sending.is_lost:
                    self._lose(sending)
                else:
                    await self._post(post, sending)

    def _lose(self, sending: Sending) -> None:
        self.gone.add(sending.index)
        self.journal.publish("lost", {"index": sending.index, "kind": sending.posted.kind})
        self.log.lost(self.run_id, sending.posted)

    async def _post(self, post: Callable[[Posted], Awaitable[Delivery]], sending: Sending) -> None:
        posted, sent_at = sending.posted, self.clock()
        self.gone.add(sending.index)
        self.journal.publish(
            "post",
            {
                "index": sending.index,
                "kind": posted.kind,
                "at_seconds": sending.at_seconds,
                "at": sent_at.isoformat(timespec="milliseconds"),
                "url": self.player.url(posted),
                "body": masked_body(posted.body),
            },
        )
        try:
            delivery = await post(posted)
        except trio.Cancelled:
            self._write_down(posted, sent_at, None)
            raise
        self._write_down(posted, sent_at, delivery)
        if delivery.event_id is not None:
            self.sight.own(delivery.event_id)
        if delivery.error:
            self._refused.append((sending.index + 1, posted.kind, delivery.error))
        self.journal.publish(
            "answer",
            {
                "index": sending.index,
                "status": delivery.status,
                "seconds": round(delivery.latency_seconds, 3),
                "event_id": delivery.event_id,
                "duplicate": delivery.duplicate,
                "error": delivery.error,
            },
        )

    def _write_down(self, posted: Posted, sent_at: datetime, delivery: Delivery | None) -> None:
        self.log.exchanged(
            Exchange(
                run_id=self.run_id,
                url=self.player.url(posted),
                posted=posted,
                headers=self.player.headers(posted),
                sent_at=sent_at,
                ended_at=self.clock(),
                delivery=delivery,
            )
        )
