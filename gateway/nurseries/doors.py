"""The listeners of a service as it sees them: what they are called, when they are open, where they are bound."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import attrs
import trio

# A listener: serves until `shutdown_trigger` returns, is started with the addresses really bound. As `gateway.web.listeners.serve_app`.
Door = Callable[..., Awaitable[None]]
# The addresses really bound, by the name of the door.
Addresses = Mapping[str, Sequence[str]]
# The name of the door where events come in.
FRONT_DOOR = "public"


@attrs.frozen(kw_only=True)
class Doors:
    """The listeners by name. `front` opens last and closes first; `inside` (health, figures) is there all the time.

    `beside`: doors of those who post to the front themselves. They open just before it: where one cannot, the process ends before a host
    was told 200. They close with it, so that nobody in this process still posts when nothing is accepted any more.
    """

    front: Mapping[str, Door]
    inside: Mapping[str, Door]
    beside: Mapping[str, Door] = attrs.field(factory=dict[str, Door])


async def open_doors(
    doors: Mapping[str, Door], addresses: dict[str, Sequence[str]], nursery: trio.Nursery, stop: Callable[[], Awaitable[object]]
) -> None:
    """Open them one after the other, in their order; each address stands in `addresses` as soon as it is bound."""
    for name, door in doors.items():
        addresses[name] = await nursery.start(partial(door, shutdown_trigger=stop))
