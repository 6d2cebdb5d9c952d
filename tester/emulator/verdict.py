"""Whether the chats show what a call owes: every chat exactly its finals, and nothing more. Pure."""

from collections.abc import Sequence

from gateway.ports import EnterpriseConfig
from tester.emulator.chats import Chats
from tester.emulator.orders import Judgement, Verdict
from tester.emulator.wording import Wording, wording_of
from tester.patterns.pattern import Final

_SEPARATOR = " / "


def differences(chats: Chats, owed: Sequence[int], finals: Sequence[Final], *, chat_language: str, language: str) -> tuple[str, ...]:
    """What is wrong in the chats that are owed the finals, one line each, in `language`; nothing when all is well."""
    wording = wording_of(language)
    found: list[str] = []
    for chat_id in owed:
        texts = chats.living(chat_id)
        found += _of_chat(chat_id, texts, finals, chat_language, wording)
        if chats.doomed(chat_id):
            found.append(wording.not_deleted.format(chat=chat_id))
    return tuple(found)


def why_unseen(config: EnterpriseConfig, *, is_local: bool, blocked: Sequence[int], blocked_by: str = "", language: str) -> str:
    """Why no chat can be looked at; "" when one can. `blocked_by`: the run of the enterprise that had its chat blocked already, or ""."""
    wording = wording_of(language)
    if not is_local:
        return wording.unseen_remote
    if not config.bot_token:
        return wording.unseen_no_bot
    if not config.subscribers:
        return wording.unseen_blocked_elsewhere.format(run=blocked_by) if blocked_by else wording.unseen_no_subscribers
    return wording.unseen_all_blocked if all(chat_id in blocked for chat_id in config.subscribers) else ""


def verdict(*, refused: Sequence[str], unseen: str, differences: Sequence[str]) -> Verdict:
    """The end of a run.

    `refused`: webhooks that were not accepted. A host posts once, so one that is refused is a difference wherever it was posted to.
    """
    if refused or (differences and not unseen):
        return Verdict(judgement=Judgement.DIFFERENT, differences=(*refused, *(differences if not unseen else (unseen,))))
    if unseen:
        return Verdict(judgement=Judgement.UNSEEN, differences=(unseen,))
    return Verdict(judgement=Judgement.EXPECTED)


def _of_chat(chat_id: int, texts: Sequence[str], finals: Sequence[Final], chat_language: str, wording: Wording) -> list[str]:
    pairs = _matched(finals, texts, chat_language)
    missing = [final for place, final in enumerate(finals) if place not in pairs]
    needless = [text for place, text in enumerate(texts) if place not in pairs.values()]
    found = [
        wording.wanted.format(chat=chat_id, wanted=_SEPARATOR.join(final.lines(chat_language)), there=_told(text))
        for final, text in zip(missing, needless, strict=False)
    ]
    found += [
        wording.no_message.format(chat=chat_id, wanted=_SEPARATOR.join(final.lines(chat_language))) for final in missing[len(needless) :]
    ]
    return found + [wording.needless_message.format(chat=chat_id, there=_told(text)) for text in needless[len(missing) :]]


def _matched(finals: Sequence[Final], texts: Sequence[str], chat_language: str) -> dict[int, int]:
    """As many finals as possible, each with a text of its own that fulfils it: places of finals to places of texts.

    One text may fulfil two finals (a length that nobody can know fits any), so a final gives its text away if it finds another one.
    """
    fits = [[place for place, text in enumerate(texts) if not final.difference(text, chat_language)] for final in finals]
    taken: dict[int, int] = {}

    def find(final: int, tried: set[int]) -> bool:
        for place in fits[final]:
            if place not in tried:
                tried.add(place)
                if place not in taken or find(taken[place], tried):
                    taken[place] = final
                    return True
        return False

    for final in range(len(finals)):
        find(final, set())
    return {final: place for place, final in taken.items()}


def _told(text: str) -> str:
    """The lines that a final speaks of."""
    return _SEPARATOR.join([_first_line(text), *(line for line in text.splitlines()[1:] if line.startswith(("🔀", "🔗")))])


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
