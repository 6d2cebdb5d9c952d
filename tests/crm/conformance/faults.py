"""What goes wrong on the way to a CRM and in it, for a while: none of it may cost a call or double one."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from gateway.crm.base import CrmKind
from tester.fakes.crm_faults import Fault, FaultKind
from tests.crm.conformance.facts import Answer
from tests.crm.conformance.world import World

WISH_SECONDS = 30
_PAGE = b"<html><body><h1>%d</h1></body></html>"


@attrs.frozen(kw_only=True)
class Trouble:
    """One row of the table. `answer` makes what comes instead of the right answer; `is_carried_out`: the CRM has done it all the same."""

    kind: FaultKind
    is_carried_out: bool = False
    seconds: float = 0.0
    answer: Callable[[World[Any]], Answer] | None = None
    # Its scheme says that the status is all there is to an answer.
    spares: frozenset[CrmKind] = frozenset()

    def plan(self, world: World[Any], **which: Any) -> Fault:
        """It will happen to these requests (fields of `Fault`)."""
        said: dict[str, Any] = {}
        if self.answer is not None:
            answer = self.answer(world)
            said = {"status": answer.status, "body": answer.body, "content_type": answer.content_type, "headers": answer.headers}
        return world.fake.fail(self.kind, accepted=self.is_carried_out, seconds=self.seconds, **said, **which)


def _page(status: int) -> Callable[[World[Any]], Answer]:
    return lambda _: Answer(status=status, body=_PAGE % status, content_type="text/html")


def _telling(world: World[Any]) -> Answer:
    """A page of a server that shows what it was asked, with all keys."""
    return Answer(status=500, body=f"<pre>Fatal error: {' '.join(world.secrets)}</pre>".encode(), content_type="text/html")


TROUBLES: Mapping[str, Trouble] = MappingProxyType(
    {
        "too many requests": Trouble(kind=FaultKind.ANSWER, answer=lambda world: world.too_many(None)),
        "too many requests, with a wish": Trouble(kind=FaultKind.ANSWER, answer=lambda world: world.too_many(WISH_SECONDS)),
        "a 500 that shows the key": Trouble(kind=FaultKind.ANSWER, answer=_telling),
        "a 504 after it was carried out": Trouble(kind=FaultKind.ANSWER, answer=_page(504), is_carried_out=True),
        "another's page instead of an answer": Trouble(kind=FaultKind.ANSWER, answer=_page(200), spares=frozenset({CrmKind.OWN})),
        "garbage after it was carried out": Trouble(kind=FaultKind.GARBAGE),
        "half an answer": Trouble(kind=FaultKind.HALF_ANSWER),
        "no answer": Trouble(kind=FaultKind.HANG),
        "no answer after it was carried out": Trouble(kind=FaultKind.HANG, is_carried_out=True),
        "a late answer": Trouble(kind=FaultKind.DELAY, seconds=1.5),
        "the connection ends after it was carried out": Trouble(kind=FaultKind.CLOSE, is_carried_out=True),
        "a reset": Trouble(kind=FaultKind.RESET),
        "a reset after it was carried out": Trouble(kind=FaultKind.RESET, is_carried_out=True),
    }
)
