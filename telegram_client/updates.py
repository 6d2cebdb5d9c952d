"""What people send to the bot: long polling that loses no update, and the commands in it."""

import random
import re
from collections.abc import Awaitable, Callable, Sequence

import anyio
import attrs

from telegram_client.api import BotApi
from telegram_client.errors import BotRejected, RetryAfter, TelegramError
from telegram_client.values import Update

POLL_SECONDS = 50
"""How long one getUpdates waits: below the minute after which proxies like to cut a silent connection."""

LONGEST_BACK_OFF_SECONDS = 60.0

QUICK_SECONDS = 1.0
"""An empty answer in less time was not waited for."""

_COMMAND = re.compile(r"/([a-z0-9_]{1,32})(?:@([a-z0-9_]{1,64}))?(?:\s+(.*))?", re.IGNORECASE | re.ASCII | re.DOTALL)


@attrs.frozen
class Command:
    """A command as somebody wrote it: `/start CODE` is `Command(chat_id, "start", "CODE")`. The name is in lower case.

    `addressee`: the bot's username in lower case where the command names one (`/stop@other_bot`, in groups), else "".
    """

    chat_id: int
    name: str
    argument: str = ""
    addressee: str = ""


def read_command(update: Update) -> Command | None:
    """The command in an update, None when there is none. Whom it is addressed to is for the caller to look at."""
    message = update.message
    if message is None:
        return None
    found = _COMMAND.fullmatch(message.text.strip())
    if found is None:
        return None
    name, addressee, argument = found.groups()
    return Command(message.chat_id, name.lower(), (argument or "").strip(), (addressee or "").lower())


def back_off_seconds(failures: int, jitter: float) -> float:
    """How long to wait after so many failures in a row (from 1): 1, 2, 4, … up to a minute, of which `jitter` (0-1) decides half."""
    whole = min(LONGEST_BACK_OFF_SECONDS, 2.0 ** min(failures - 1, 16))
    return whole / 2 + whole / 2 * jitter


def _report_nothing(_error: TelegramError, _seconds: float) -> None:
    return


async def poll(
    api: BotApi,
    handle: Callable[[Update], Awaitable[None]],
    *,
    allowed_updates: Sequence[str] = ("message", "callback_query"),
    poll_seconds: int = POLL_SECONDS,
    report: Callable[[TelegramError, float], None] = _report_nothing,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Hand every update of the bot to `handle`, one after the other, for ever.

    An update is confirmed only after `handle` has returned for it, so after a crash or cancellation in between it comes again: `handle`
    must take a repetition. What `handle` raises ends the poll, unconfirmed.

    Args:
        allowed_updates: kinds Telegram shall send (Bot API, getUpdates). A webhook is removed first, without dropping what is pending.
        report: called with every failure and the seconds until the next try: `Conflict` (somebody else polls with this token) and
            everything that the network does. Never raises.
        jitter: a number from 0 to 1.

    Raises: `BotRejected`: the token is no good. All other trouble is waited out.
    """
    offset: int | None = None
    failures = 0
    webhook_removed = False
    while True:
        try:
            if not webhook_removed:
                await api.delete_webhook()
                webhook_removed = True
            asked_at = anyio.current_time()
            updates = await api.get_updates(offset, poll_seconds, allowed_updates)
        except BotRejected:
            raise
        except TelegramError as error:
            failures += 1
            seconds = error.seconds if isinstance(error, RetryAfter) else back_off_seconds(failures, jitter())
            report(error, seconds)
            await anyio.sleep(seconds)
            continue
        failures = 0
        for update in updates:
            await handle(update)
            offset = update.update_id + 1
        if not updates and anyio.current_time() - asked_at < QUICK_SECONDS:
            # A server that does not wait must not be asked without end.
            await anyio.sleep(QUICK_SECONDS)
