"""What a language has to say: every text a subscriber can see, without the values. One instance for each language, beside this module."""

import attrs


@attrs.frozen(kw_only=True)
class CardWording:
    """The fixed parts of a card.

    Heads stand before the parties: `{head} {parties}` for the `*_from` ones, which name a caller, `{head}: {parties}` for the others.
    `dial` is used where the caller is not known.
    """

    start_from: str
    dial_from: str
    dial: str
    internal_ring: str
    talk: str
    internal_talk: str
    answered: str
    internal_answered: str
    missed: str
    internal_missed: str
    withheld_number: str
    recording: str
    from_crm: str
    recovered: str
    ended_by_silence: str


@attrs.frozen(kw_only=True)
class AnswerWording:
    """What the bot answers. `{enterprise}` is replaced by the enterprise's name and number."""

    subscribed: str
    already_subscribed: str
    revived: str
    code_unusable: str
    code_missing: str
    unsubscribed: str
    not_subscribed: str
    status: str
    unknown_command: str


@attrs.frozen
class Wording:
    """All texts of one language."""

    card: CardWording
    answers: AnswerWording
