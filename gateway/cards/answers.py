"""What the bot answers to its commands."""

from enum import StrEnum, auto
from html import escape
from typing import assert_never

from gateway.cards.languages import wording_of
from gateway.cards.markup import clean

_NAME_LIMIT = 96


class Answer(StrEnum):
    """Everything the bot can have to say. The first four answer `/start`, then `/stop`, `/status` and anything else."""

    SUBSCRIBED = auto()
    ALREADY_SUBSCRIBED = auto()
    REVIVED = auto()
    CODE_UNUSABLE = auto()
    CODE_MISSING = auto()
    UNSUBSCRIBED = auto()
    NOT_SUBSCRIBED = auto()
    STATUS = auto()
    UNKNOWN_COMMAND = auto()


def answer_text(answer: Answer, language: str, *, number: str = "", name: str = "") -> str:
    """The text of an answer, HTML. `number` and `name` are those of the enterprise: `june (0367)`."""
    return _template(answer, language).replace("{enterprise}", _enterprise(number, name))


def _enterprise(number: str, name: str) -> str:
    shown_number, shown_name = clean(number, _NAME_LIMIT), clean(name, _NAME_LIMIT)
    shown = f"{shown_name} ({shown_number})" if shown_name and shown_number else shown_name or shown_number
    return escape(shown, quote=False)


def _template(answer: Answer, language: str) -> str:
    wording = wording_of(language).answers
    match answer:
        case Answer.SUBSCRIBED:
            return wording.subscribed
        case Answer.ALREADY_SUBSCRIBED:
            return wording.already_subscribed
        case Answer.REVIVED:
            return wording.revived
        case Answer.CODE_UNUSABLE:
            return wording.code_unusable
        case Answer.CODE_MISSING:
            return wording.code_missing
        case Answer.UNSUBSCRIBED:
            return wording.unsubscribed
        case Answer.NOT_SUBSCRIBED:
            return wording.not_subscribed
        case Answer.STATUS:
            return wording.status
        case Answer.UNKNOWN_COMMAND:
            return wording.unknown_command
        case _:
            assert_never(answer)
