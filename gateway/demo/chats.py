"""How the demo shows what subscribers see: the chats as they stand, for a terminal that lives and for one that only takes lines.

Everything is drawn from the state of the fake Telegram; nothing is remembered here but the last posts of the host.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.demo.enterprise import ENTERPRISE
from tester.fakes.telegram import Change, ChangeKind, FakeMessage, FakeTelegram
from tester.player import Delivery

# How long a change stays marked, and a deleted message stays to be seen.
_MARKED_SECONDS = 1.5
_DELETED_SECONDS = 3.0
_TICK_SECONDS = 0.25
_POSTS_ITEMS = 20
# From this width on there is room for the posts of the host beside two chats.
_WIDE_COLUMNS = 140
_POSTS_COLUMNS = 36
# What stands around the panels: two titles, the head of the chats, the last post, and the line of the cursor.
_SURROUNDINGS_LINES = 5


def messages_of(fake: FakeTelegram, chat_id: int) -> Sequence[FakeMessage]:
    """What the demo's bot has written to this chat, deleted messages too."""
    return fake.chat(ENTERPRISE.bot_token, chat_id).all_messages


def texts_of(fake: FakeTelegram, chat_id: int) -> Sequence[str]:
    """What this chat shows now."""
    return [message.visible for message in messages_of(fake, chat_id) if not message.deleted]


def plain_chats(fake: FakeTelegram) -> Iterator[str]:
    """All chats as lines of text."""
    for chat_id in ENTERPRISE.subscribers:
        yield f"chat {chat_id}"
        for text in texts_of(fake, chat_id):
            yield from (f"  {line}" for line in text.splitlines())
            yield ""


def panels(messages: Iterable[FakeMessage], now: float) -> Sequence[Panel]:
    """A panel for each message of a chat, the oldest first. `now` as `trio.current_time()`."""
    return [_panel(message, now) for message in messages if message.deleted_at is None or now - message.deleted_at < _DELETED_SECONDS]


def _panel(message: FakeMessage, now: float) -> Panel:
    edits_items = len(message.history) - 1
    if message.deleted:
        return Panel(Text(message.visible, style="dim strike", overflow="fold"), title="deleted", title_align="left", border_style="dim")
    is_marked = now - message.history[-1].at < _MARKED_SECONDS
    return Panel(
        # Not the table's ellipsis: rich counts letters where it should count cells, and would cut a line that ends after a wide emoji.
        Text(message.visible, style="bold" if is_marked else "", overflow="fold"),
        title=f"message {message.message_id}",
        title_align="left",
        subtitle=f"edited {edits_items}×" if edits_items else None,
        subtitle_align="right",
        border_style="yellow" if is_marked else _colour(message.visible),
    )


def _colour(text: str) -> str:
    return {"✅": "green", "❌": "red"}.get(text[:1], "cyan")


def post_line(delivery: Delivery) -> str:
    """One post of the host and its answer."""
    posted = delivery.posted
    if delivery.error:
        return f"POST /{posted.kind} {delivery.error}"
    return f"POST /{posted.kind} {delivery.status} event {delivery.event_id}"


class Screen(Protocol):
    """Shows the chats while an `async with` block runs and `show` runs in a nursery."""

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def announce(self, title: str) -> None: ...
    def posted(self, delivery: Delivery) -> None: ...
    async def show(self) -> None: ...


class LiveScreen:
    """Chats side by side, redrawn in place. Only messages that are new since it was made."""

    def __init__(self, fake: FakeTelegram, console: Console, *, reserved_lines: int = 0) -> None:
        self._fake = fake
        self._console = console
        self._reserved_lines = reserved_lines
        self._titles: list[str] = []
        self._posts: deque[str] = deque(maxlen=_POSTS_ITEMS)
        self._is_over = False
        self._known = {chat_id: len(messages_of(fake, chat_id)) for chat_id in ENTERPRISE.subscribers}
        # Without its own thread: it is refreshed by `show`.
        self._live = Live(console=console, auto_refresh=False, get_renderable=self.draw, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # What stays in the terminal is all of it, however much that is.
        self._is_over = True
        self._live.stop()

    def announce(self, title: str) -> None:
        """A call begins."""
        self._titles.append(title)

    def posted(self, delivery: Delivery) -> None:
        """The host has posted."""
        self._posts.append(post_line(delivery))

    async def show(self) -> None:
        """Redraw after every change, and now and then: marks fade."""
        while True:
            self._live.refresh()
            with trio.move_on_after(_TICK_SECONDS):
                await self._fake.changed.wait()

    def draw(self) -> RenderableType:
        """The chats at this moment; inside Trio only, by whose clock marks fade."""
        now = trio.current_time()
        is_wide = self._console.width >= _WIDE_COLUMNS
        columns = (self._console.width - (_POSTS_COLUMNS if is_wide else 0)) // len(ENTERPRISE.subscribers) - 1
        lines = self._console.height - _SURROUNDINGS_LINES - self._reserved_lines
        grid = Table.grid(padding=(0, 1), expand=True)
        heads: list[RenderableType] = []
        cells: list[RenderableType] = []
        if is_wide:
            grid.add_column(width=_POSTS_COLUMNS, no_wrap=True)
            heads.append(Text("the host posts", style="bold"))
            cells.append(Text("\n".join(list(self._posts)[-max(lines, 1) :]), style="dim"))
        for chat_id in ENTERPRISE.subscribers:
            grid.add_column(ratio=1)
            heads.append(Text(f"chat {chat_id}", style="bold"))
            new = messages_of(self._fake, chat_id)[self._known[chat_id] :]
            cells.append(Group(*self._newest(panels(new, now), columns, lines)))
        grid.add_row(*heads)
        grid.add_row(*cells)
        above = [Text(title, style="dim") for title in self._titles[-2:-1]] + [Text(title, style="bold") for title in self._titles[-1:]]
        below = [] if is_wide or not self._posts else [Text(self._posts[-1], style="dim", no_wrap=True)]
        return Group(*above, grid, *below)

    def _newest(self, chat: Sequence[Panel], columns: int, lines: int) -> Sequence[Panel]:
        """As many as fit; one always."""
        options = self._console.options.update(width=columns)
        for first, panel in reversed(list(enumerate(chat))):
            lines -= len(self._console.render_lines(panel, options))
            if lines < 0 and not self._is_over:
                return chat[min(first + 1, len(chat) - 1) :]
        return chat


class LineScreen:
    """Every change of a message as lines, for what is no terminal."""

    def __init__(self, fake: FakeTelegram, console: Console) -> None:
        self._fake = fake
        self._console = console

    def __enter__(self) -> Self:
        self._fake.on_change.append(self._changed)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._fake.on_change.remove(self._changed)

    def announce(self, title: str) -> None:
        """A call begins."""
        self._print(title)

    def posted(self, delivery: Delivery) -> None:
        """Only what went wrong is worth a line here."""
        if delivery.error:
            self._print(post_line(delivery))

    async def show(self) -> None:
        """Changes are printed as they come."""
        await trio.sleep_forever()

    def _changed(self, change: Change) -> None:
        message = change.message
        lines = [] if change.kind is ChangeKind.DELETED else message.visible.splitlines()
        self._print("\n  ".join([f"chat {message.chat_id}, message {message.message_id} {change.kind.name.lower()}", *lines]))

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()
