"""How a wanted card reaches a chat: a pure decision between what the chat has and what it should have.

The theory. A chat has at most one living message per call, and stages only rise:

    shown          wanted              plan
    -------------  ------------------  ---------------------------------------------------------------
    nothing        a card              send it
    a card         nothing             delete it: the call was absorbed by another one
    a card         the same            nothing
    any stage      a lower stage       nothing
    start … talk   a higher stage      edit the living message
    start … talk   the final           as `telegram.final` says: edit, or send a new message, since edits make no sound
    the final      another final       edit the final in place: a correction makes no second message

What is shown is a state that is compared, not a count of messages. Whoever carries a plan out records the new state: a message that was
sent becomes the living one, so after a comment it is the comment that later corrections edit, and what it answered to stays.
"""

from datetime import datetime, timedelta
from enum import StrEnum, auto
from hashlib import blake2b
from typing import assert_never

import attrs

from gateway.cards.view import Stage

# The end is told as an answer to the living message only while that is no older than this; an older one is too far up in the chat.
COMMENT_WINDOW = timedelta(seconds=600)


class FinalMode(StrEnum):
    """How the end of a call is told: the enterprise's `telegram.final`."""

    AUTO = auto()
    EDIT = auto()
    REPLACE = auto()
    COMMENT = auto()


class Reason(StrEnum):
    """Why nothing is done."""

    NOTHING_SHOWN = auto()
    """The card is to go and there is none."""
    SAME = auto()
    """The chat has exactly this."""
    STAGE_WENT_BACK = auto()
    """The chat has a later stage."""


@attrs.frozen(kw_only=True)
class Living:
    """What one chat has of one call. `message_id` is None when nothing of it is there to be edited. `sent_at`: when it was first sent."""

    message_id: int | None
    stage: Stage
    text_hash: bytes
    sent_at: datetime


@attrs.frozen(kw_only=True)
class Wanted:
    """What one chat should have of one call. `text_hash` is that of text and stage."""

    text: str
    stage: Stage
    answered: bool
    text_hash: bytes


@attrs.frozen
class Nothing:
    """Nothing is to be done."""

    reason: Reason


@attrs.frozen(kw_only=True)
class Send:
    """A new message. `silent` = without a sound; `reply_to` and, once it is sent, `then_delete` are message ids."""

    urgent: bool
    silent: bool = False
    reply_to: int | None = None
    then_delete: int | None = None


@attrs.frozen(kw_only=True)
class Edit:
    """The living message gets the wanted text."""

    message_id: int
    urgent: bool


@attrs.frozen
class Delete:
    """The living message goes, and nothing comes in its place."""

    message_id: int


Plan = Nothing | Send | Edit | Delete


def text_hash(text: str, stage: Stage) -> bytes:
    """What identifies a text at a stage: 16 bytes."""
    return blake2b(f"{stage:d} {text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def wanted(text: str, stage: Stage, *, answered: bool) -> Wanted:
    """The wanted card with its hash."""
    return Wanted(text=text, stage=stage, answered=answered, text_hash=text_hash(text, stage))


def plan(shown: Living | None, wanted: Wanted | None, *, final: FinalMode, now: datetime) -> Plan:
    """What brings the chat from `shown` to `wanted`. `wanted` None: the card is retracted.

    Finals are urgent. The first message of a call and a final that is a message of its own ring.
    """
    if wanted is None:
        return Nothing(Reason.NOTHING_SHOWN) if shown is None or shown.message_id is None else Delete(shown.message_id)
    urgent = wanted.stage is Stage.FINAL
    if shown is None:
        return Send(urgent=urgent)
    if wanted.text_hash == shown.text_hash:
        return Nothing(Reason.SAME)
    if wanted.stage < shown.stage:
        return Nothing(Reason.STAGE_WENT_BACK)
    if shown.message_id is None:
        return Send(urgent=urgent)
    if wanted.stage is not Stage.FINAL or shown.stage is Stage.FINAL:
        return Edit(message_id=shown.message_id, urgent=urgent)
    return _final_plan(shown.message_id, shown.sent_at, answered=wanted.answered, final=final, now=now)


def plan_when_gone(wanted: Wanted) -> Send:
    """What to do when the message to edit is not there any more: send it anew, without the sound that the edit would not have made."""
    return Send(urgent=wanted.stage is Stage.FINAL, silent=True)


def _final_plan(message_id: int, sent_at: datetime, *, answered: bool, final: FinalMode, now: datetime) -> Plan:
    match final:
        case FinalMode.AUTO if answered:
            return Edit(message_id=message_id, urgent=True)
        case FinalMode.EDIT:
            return Edit(message_id=message_id, urgent=True)
        case FinalMode.AUTO | FinalMode.REPLACE:
            # A missed call must ring, and an edit makes no sound.
            return Send(urgent=True, then_delete=message_id)
        case FinalMode.COMMENT:
            return Send(urgent=True, reply_to=message_id if now - sent_at <= COMMENT_WINDOW else None)
        case _:
            assert_never(final)
