"""Two colleagues who talk with each other while something else goes on."""

import attrs

from tester.host import ActKind, Host, Line


@attrs.define
class Chat:
    """An internal call that is going on. Made by `chat`."""

    host: Host
    calling: Line
    called: Line
    began_seconds: float

    def hold(self) -> None:
        """The one who was called puts the other one on hold. Both stay in their bridge, and no webhook says so."""
        self.host.act(ActKind.HOLD, self.called.number, self.calling.number)

    def resume(self) -> None:
        """He is back."""
        self.host.act(ActKind.ANSWER, self.called.number, self.calling.number)

    def end(self) -> None:
        """The one who was called hangs up."""
        self.host.act(ActKind.END, self.called.number, self.calling.number)
        self.host.leave(self.called)
        self.host.leave(self.calling)
        self.host.hangup(
            self.calling.unique_id,
            self.calling.number,
            [self.called.number],
            call_type=2,
            answered=True,
            began_seconds=self.began_seconds,
        )


def chat(host: Host, caller: str, callee: str, *, ring_seconds: float) -> Chat:
    """A colleague calls a colleague, who answers."""
    began_seconds = host.now_seconds
    host.act(ActKind.CALL, caller, callee)
    calling = host.channel(f"SIP/{caller}", caller, exten=callee, connected=callee)
    called = host.channel(f"SIP/{callee}", callee, connected=caller, linked=calling)
    host.wait(ring_seconds)
    host.act(ActKind.ANSWER, caller, callee)
    host.bridge(called, calling)
    return Chat(host, calling, called, began_seconds)
