"""One call that is being played: its webhooks go out, its chats are looked at, and it is judged.

A run is a nursery. What posts and judges ends with a word or with `stop`; beside it, where a chat is blocked, is what gives back the chat's
subscription, and the run is not over before that is done.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import attrs
import trio

from gateway.errors import GatewayError
from gateway.nurseries.clock import Clock
from gateway.nurseries.enterprise import final_mode_of
from gateway.ports import EnterpriseConfig, Store
from telegram_client.budgets import GROUP_WINDOW_SECONDS
from tester.emulator.event_log import EventLog
from tester.emulator.journal import Journal, Reading, RunEvent
from tester.emulator.orders import LEFT_PAUSED, Judgement, Order, Pace, RunState, TelegramTrouble, Verdict
from tester.emulator.pacer import LeftPaused, Pacer
from tester.emulator.plan import Plan
from tester.emulator.posting import Posting
from tester.emulator.revival import Revival
from tester.emulator.sight import Sight
from tester.emulator.verdict import differences, verdict, why_unseen
from tester.emulator.watch import Watch
from tester.emulator.wording import LANGUAGES, wording_of
from tester.player import Player

__all__ = ["Run", "RunEvent", "RunIsOver", "Surroundings", "Target"]

_log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.5
"""So long the chats must show what is owed, and nothing else, before the run is judged well."""

PATIENCE_SECONDS = 12.0
"""So long after the closing grace a chat may take: a message a second to each chat, and a correction or two."""

GROUP_SECONDS = GROUP_WINDOW_SECONDS
"""So much longer a group may take, where only so many requests go through in a minute (`telegram_client.budgets`)."""

_TROUBLE_SECONDS = {
    None: 0.0,
    # Two refusals of 2 s each, with what the gateway adds to be careful.
    TelegramTrouble.TOO_MANY: 10.0,
    # Three failures of all chats one after another: waits of 0.5, 1 and 2 s.
    TelegramTrouble.BROKEN: 15.0,
    TelegramTrouble.BLOCKED: 0.0,
}
# Whoever begins the next run after the last word of this one finds the chats subscribed, unless the database is away for longer than that.
_REVIVAL_SECONDS = 6.0
# Of each webhook: post, answer, messages of a few chats, CRMs.
_EVENTS_OF_A_WEBHOOK = 30
_EVENTS_OF_A_RUN = 1000


class RunIsOver(GatewayError):
    """This run cannot do that any more."""


@attrs.frozen(kw_only=True)
class Target:
    """Where calls can be posted to. `address`: what an order calls it, `LOCAL` for this process. `url`: of its front door."""

    address: str
    url: str
    is_local: bool = False


@attrs.frozen(kw_only=True)
class Surroundings:
    """What a run is played on. `player_of`: a host that posts to this address."""

    watch: Watch
    store: Store
    clock: Clock
    log: EventLog
    closing_grace_seconds: float
    player_of: Callable[[str], Player] = lambda url: Player(base_url=url)


class Run:
    """A call that was ordered. `carry_out` is its task; the rest is for others and never waits.

    `blocked_by`: the run that has a chat of this enterprise blocked while this one begins, "" for none.

    Going step by step is a pause from the beginning: each `step` lets one webhook go, `resume` the rest as it happened.
    """

    def __init__(
        self,
        run_id: str,
        plan: Plan,
        config: EnterpriseConfig,
        *,
        target: Target,
        surroundings: Surroundings,
        language: str,
        blocked_by: str = "",
    ) -> None:
        self.id = run_id
        self.plan = plan
        self.language = language
        self._verdicts: Mapping[str, Verdict] = {}
        self.state = RunState.RUNNING
        self._config = config
        self._blocked_by = blocked_by
        self._target = target
        self._around = surroundings
        self._journal = Journal(most_items=_EVENTS_OF_A_RUN + _EVENTS_OF_A_WEBHOOK * len(plan.events))
        self._sight = Sight(final=final_mode_of(config), journal=self._journal, clock=surroundings.clock)
        self._pacer = Pacer(plan.speed, is_paused=plan.order.pace is Pace.STEP)
        self._posting = Posting(
            run_id=run_id,
            player=surroundings.player_of(target.url),
            pacer=self._pacer,
            sight=self._sight,
            journal=self._journal,
            log=surroundings.log,
            clock=surroundings.clock,
        )
        self._is_left = False
        self._scope = trio.CancelScope()
        self._enter(RunState.PAUSED if plan.order.pace is Pace.STEP else RunState.RUNNING)

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.plan.order.pattern} {self.state} {self.posted_items}/{len(self.plan.events)}>"

    @property
    def order(self) -> Order:
        """What was ordered."""
        return self.plan.order

    @property
    def posted_items(self) -> int:
        """How many webhooks of the script have left, or were lost."""
        return len(self._posting.gone)

    @property
    def verdict(self) -> Verdict | None:
        """How it ended, in the language of whoever ordered it; None while it has not, and without a verdict."""
        return self.verdict_in(self.language)

    def verdict_in(self, language: str) -> Verdict | None:
        """The same in another language."""
        return self._verdicts.get(language)

    def events(self, after: int = 0, language: str = "") -> Reading:
        """What happened after event number `after`, and what happens; ends after the last event of a run that is over.

        `language`: of what is said to people in it, "" for that of whoever ordered the run.
        """
        return self._journal.events(after, partial(self._retold, language=language or self.language))

    def _retold(self, event: RunEvent, *, language: str) -> RunEvent:
        judged = self.verdict_in(language) if event.kind == "verdict" else None
        return event if judged is None else attrs.evolve(event, data=_verdict_data(judged))

    # ------------------------------------------------------------------ buttons; `language`: of the error, "" for that of the run

    def pause(self, language: str = "") -> None:
        """Let the script's time stand still. A webhook that is under way is answered. Raises: `RunIsOver`."""
        self._must_be_posting(language)
        self._pacer.pause()
        self._enter(RunState.PAUSED)

    def resume(self, language: str = "") -> None:
        """Let it go on. Raises: `RunIsOver`."""
        self._must_be_posting(language)
        self._pacer.resume()
        self._enter(RunState.RUNNING)

    def step(self, language: str = "") -> None:
        """Let the next webhook go now. Raises: `RunIsOver`."""
        self._must_be_posting(language)
        self._pacer.step()

    def stop(self, language: str = "") -> None:
        """End it at once; what was posted stays posted. Raises: `RunIsOver`."""
        self._must_be_going(language)
        self._end(RunState.STOPPED)
        self._scope.cancel()

    def _must_be_going(self, language: str) -> None:
        if self.state.is_over:
            raise RunIsOver(wording_of(language or self.language).run_is_over)

    def _must_be_posting(self, language: str) -> None:
        self._must_be_going(language)
        if self.state is RunState.JUDGING:
            raise RunIsOver(wording_of(language or self.language).everything_posted)

    # ------------------------------------------------------------------ the task

    async def carry_out(self) -> None:
        """Play the call and judge it. Never raises but for cancellation.

        After `stop`, and after cancellation, nothing of the run is left running, its faults are gone, and subscribers that were taken for
        dead because of it are subscribed again, or named in an ERROR line. With the database away that takes as long as it takes, after
        the run's last word; after cancellation `LAST_CHANCE_SECONDS` at most.
        """
        async with trio.open_nursery() as nursery:
            revival = self._revival() if self.order.faults.telegram is TelegramTrouble.BLOCKED else None
            if revival is not None:
                nursery.start_soon(revival.run, name=f"revival of {self.id}")
            try:
                judged = await self._play()
                if revival is not None:
                    revival.begin()
                    with trio.move_on_after(_REVIVAL_SECONDS):
                        await revival.done()
                if judged is not None:
                    self._close(judged)
            finally:
                self._end(RunState.STOPPED)
                self._around.log.ended(self.id, self._outcome())

    async def _play(self) -> Mapping[str, Verdict] | None:
        """From the first webhook to the verdict, by language. None: the run has said why there is none, or was stopped."""
        try:
            self._around.log.started(self.id, self._title())
            with self._scope, self._following():
                await self._posting.post_all(self.plan.sendings)
                return await self._judge()
        except LeftPaused:
            self._is_left = True
            self._end(RunState.STOPPED)
        except Exception:  # noqa: BLE001
            # Safety net: whatever is wrong with one run, the others and the gateway of this process go on.
            _log.exception("run %s of the emulator failed", self.id)
            self._end(RunState.FAILED)
        return None

    def _revival(self) -> Revival:
        return Revival(
            run_id=self.id,
            bot_token=self._config.bot_token,
            owed=lambda: self._sight.blocked,
            since=self._around.clock(),
            store=self._around.store,
            clock=self._around.clock,
            burials=self._around.watch.burials,
        )

    def _following(self) -> AbstractContextManager[None]:
        if not self._target.is_local:
            return nullcontext()
        return self._around.watch.following(self._config, self._sight, self.order.faults)

    # ------------------------------------------------------------------ judging

    async def _judge(self) -> Mapping[str, Verdict]:
        """Wait until the chats are as they must be and stay so for a while, or for as long as it may take. The verdict by language."""
        self._enter(RunState.JUDGING)
        with trio.move_on_after(self._patience_seconds()):
            while not self._why_unseen(self.language):
                changed = self._sight.changed
                if self._differences(self.language):
                    await changed.wait()
                    continue
                with trio.move_on_after(SETTLE_SECONDS) as settling:
                    await changed.wait()
                if settling.cancelled_caught:
                    break
        return {language: self._judged(language) for language in {*LANGUAGES, self.language}}

    def _judged(self, language: str) -> Verdict:
        refused = self._posting.refusals(wording_of(language))
        return verdict(refused=refused, unseen=self._why_unseen(language), differences=self._differences(language))

    def _patience_seconds(self) -> float:
        # Bot API, Chat: the ids of groups are negative.
        has_group = any(chat_id < 0 for chat_id in self._config.subscribers)
        trouble_seconds = _TROUBLE_SECONDS[self.order.faults.telegram]
        return self._around.closing_grace_seconds + PATIENCE_SECONDS + trouble_seconds + (GROUP_SECONDS if has_group else 0.0)

    def _why_unseen(self, language: str) -> str:
        return why_unseen(
            self._config,
            is_local=self._target.is_local,
            blocked=self._sight.blocked,
            blocked_by=self._blocked_by,
            language=language,
        )

    def _differences(self, language: str) -> Sequence[str]:
        owed = [chat_id for chat_id in self._config.subscribers if chat_id not in self._sight.blocked]
        return differences(self._sight.chats, owed, self.plan.finals, chat_language=self.plan.language, language=language)

    # ------------------------------------------------------------------ the end

    def _enter(self, state: RunState) -> None:
        if state is not self.state or not len(self._journal):
            self.state = state
            told = {"state": state.value} | ({"reason": LEFT_PAUSED} if self._is_left else {})
            self._journal.publish("state", told, is_last_word=state.is_over)

    def _close(self, judged: Mapping[str, Verdict]) -> None:
        if not self.state.is_over:
            self._verdicts = judged
            self._journal.publish("verdict", _verdict_data(judged[self.language]), is_last_word=True)
            self._end(RunState.DONE)

    def _end(self, state: RunState) -> None:
        """The last word; the first one that is said counts."""
        if not self.state.is_over:
            self._enter(state)
            self._journal.close()

    def _title(self) -> str:
        order = self.order
        faults = f", faults {order.faults}" if order.faults else ""
        return f"pattern {order.pattern} of enterprise {order.enterprise} to {self._target.url}, pace {order.pace}{faults}"

    def _outcome(self) -> str:
        judged = self.verdict
        if judged is None:
            return f"{self.state}: {LeftPaused()}" if self._is_left else self.state.value
        if judged.judgement is Judgement.EXPECTED:
            return f"{self.state}, {judged.judgement}"
        return f"{self.state}, {judged.judgement}: {'; '.join(judged.differences)}"


def _verdict_data(judged: Verdict) -> Mapping[str, Any]:
    return {"judgement": judged.judgement.value, "differences": list(judged.differences)}
