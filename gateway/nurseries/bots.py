"""The bots of this process: one client and one set of limits for each token."""

from collections.abc import Callable

import attrs

from telegram_client.api import BotApi
from telegram_client.limits import BotLimits


@attrs.define(eq=False)
class Bot:
    """A bot. `rejected`: Telegram does not know its token any more, so nothing is asked of it until the process has another one.

    `username` is in lower case and "" until it has been asked for; `is_name_missed`: it was, in vain, and that has been told.
    """

    api: BotApi
    limits: BotLimits
    rejected: bool = False
    username: str = ""
    is_name_missed: bool = False

    @property
    def bot_id(self) -> str:
        """The part of the token that is no secret."""
        return self.api.bot_id


def careful_limits() -> BotLimits:
    """Limits that leave room for what lies between a ticket and its request.

    A new message may wait for its turn (`gateway.nurseries.office.Turn`) after its ticket was granted. A chat asks for its next ticket
    only when its last request is done, so at most one request more than was granted reaches it within any time: burst and minute of a
    group are therefore one smaller than what Telegram stands. The bot keeps a sixth of its second in hand for what gathers behind a slow
    message.
    """
    return BotLimits(per_bot_per_second=25, chat_burst=2, group_per_minute=19)


class Bots:
    """Bots by token, made on first use. Bounded by the number of tokens that were configured while the process runs."""

    def __init__(self, make: Callable[[str], Bot]) -> None:
        self._make = make
        self._bots: dict[str, Bot] = {}

    def __repr__(self) -> str:
        return f"<Bots {', '.join(bot.bot_id for bot in self._bots.values())}>"

    def of(self, token: str) -> Bot:
        """The bot with this token, always the same one: the limits are those of the token."""
        bot = self._bots.get(token)
        if bot is None:
            bot = self._bots[token] = self._make(token)
        return bot
