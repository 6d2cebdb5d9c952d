"""The finals that calls of a customer owe, in one line each."""

from collections.abc import Iterable

from tester.patterns import roles
from tester.patterns.pattern import Cast, Ending, Final


def answered(cast: Cast, talker: str, seconds: int | None, *, transfers: str = "") -> tuple[Final, ...]:
    """A call whose customer was answered; `talker`, as the chat shows him, talked last."""
    return (Final(ending=Ending.ANSWERED, left=cast.customer(cast[roles.PHONE]), right=talker, seconds=seconds, transfers=transfers),)


def missed(cast: Cast, extensions: Iterable[str]) -> tuple[Final, ...]:
    """An incoming call that nobody took; `extensions` in the order of their first ring."""
    rang = ", ".join(cast.shown(extension) for extension in extensions)
    return (Final(ending=Ending.MISSED, left=cast.customer(cast[roles.PHONE]), right=rang),)
