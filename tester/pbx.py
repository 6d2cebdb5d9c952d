"""A PBX that plays calls: what the telephones do, in; the webhooks that its listener posts, out.

A call is written as the steps of its telephones (`incoming`, `ring`, `answer`, `attend`, …) on a `Host` (`tester.host`); each step writes
down the webhooks with the fields, encodings and order that hosts were seen to use.
"""

import attrs

from tester.host import ActKind, Host, Line, Posted

__all__ = ["Host", "Line", "Posted", "Talk", "connect", "fail", "incoming", "internal", "outgoing"]

_CONTEXT_TRUNK = "from-out-office"
_CONTEXT_CONSULTATION = "dialexecute"
_CONTEXT_TRANSFER = "inoffice"
_CONTEXT_MOBILE = "179e93af"


@attrs.define
class Talk:
    """A call of a customer with the enterprise, step by step. Made by `incoming` or `outgoing`; the steps are its methods.

    `customer` is the customer's channel, `holder` the telephone that talks now, `primary` the id under which the call's hangup is posted.
    """

    host: Host
    phone: str
    trunk: str
    primary: str
    call_type: int
    began_seconds: float
    customer: Line
    holder: Line | None = None
    first: str = ""
    answered: bool = False
    moved: bool = False

    def ring(self, *extensions: str) -> None:
        """A ring step: who rings now."""
        for extension in extensions:
            self.host.act(ActKind.RING, self.phone, extension)
        self.host.dial(self.customer.unique_id, self.phone, extensions, 0, self.trunk)

    def answer(self, extension: str, *, called_first: bool = True) -> None:
        """A telephone answers. `called_first`: the called side enters the bridge before the caller (live hosts; both are seen)."""
        self.host.act(ActKind.ANSWER, self.phone, extension)
        telephone = self.host.channel(f"SIP/{extension}", extension, connected=self.phone, linked=self.customer)
        self.customer.connected = extension
        self.host.bridge(*((telephone, self.customer) if called_first else (self.customer, telephone)))
        self.holder, self.answered = telephone, True
        self.first = self.first or extension

    def ring_mobile(self, mobile: str) -> tuple[Line, Line, Line]:
        """A manager's mobile is rung inside the call: a Local pair and a trunk leg."""
        host = self.host
        host.act(ActKind.RING, self.phone, mobile)
        one, two = host.local_pair(mobile, _CONTEXT_MOBILE, linked=self.customer)
        one.number, one.connected, one.exten = self.trunk, self.phone, self.trunk
        two.number, two.connected = self.phone, self.trunk
        host.new_callerid(one, _CONTEXT_MOBILE)
        host.new_callerid(two, _CONTEXT_MOBILE)
        host.dial(two.unique_id, mobile, [self.phone], 1, self.trunk)
        leg = host.channel(f"SIP/{self.trunk}", mobile, exten=mobile, connected=self.phone, linked=self.customer)
        host.new_callerid(leg, _CONTEXT_TRUNK)
        return one, two, leg

    def mobile_answers(self, mobile: str) -> None:
        """The mobile is rung and answers: two bridges joined by the pair."""
        one, two, leg = self.ring_mobile(mobile)
        self.host.wait(3)
        self.host.act(ActKind.ANSWER, self.phone, mobile)
        self.host.bridge(leg, two)
        self.host.bridge(one, self.customer)
        self.holder, self.answered = leg, True

    def mobile_gives_up(self, mobile: str) -> None:
        """The mobile is rung and does not answer."""
        _, two, _ = self.ring_mobile(mobile)
        began = self.host.now_seconds
        self.host.wait(4)
        self.host.hangup(two.unique_id, mobile, [self.phone], call_type=1, answered=False, began_seconds=began, trunk=self.trunk)

    def attend(self, target: str, *, accepted: bool, picked_up: bool = True) -> None:
        """Attended transfer: the holder asks `target`; accepted, refused after a word, or not picked up."""
        host, holder = self.host, self.holder
        assert holder is not None, "somebody must talk before he can transfer"
        talk_bridge, asks = holder.bridge_id, holder.number
        host.act(ActKind.HOLD, asks, self.phone)
        host.act(ActKind.RING, asks, target)
        one, two = host.local_pair(target, _CONTEXT_CONSULTATION, linked=self.customer)
        one.connected, two.number, began = asks, asks, host.now_seconds
        host.new_callerid(two, _CONTEXT_CONSULTATION)
        host.new_callerid(one, _CONTEXT_CONSULTATION)
        consultation = host.bridge(one)
        host.leave(holder)
        host.enter(holder, consultation)
        host.wait(3)
        telephone = host.channel(f"SIP/{target}", target, connected=asks, linked=self.customer)
        two.connected = target
        if picked_up:
            host.act(ActKind.ANSWER, asks, target)
            target_bridge = host.bridge(telephone, two)
            host.wait(4)
            if accepted:
                host.act(ActKind.TRANSFER, asks, target)
                host.act(ActKind.ANSWER, self.phone, target)
                self._hand_over(one, two, telephone, talk_bridge, target_bridge, began)
                return
            host.leave(telephone)
            host.leave(two)
        host.act(ActKind.REFUSE, target, asks)
        host.act(ActKind.ANSWER, self.phone, asks)
        host.hangup(two.unique_id, asks, [target], call_type=2, answered=picked_up, began_seconds=began)
        host.leave(one)
        host.leave(holder)
        host.enter(holder, talk_bridge)

    def blind(self, target: str, *, answered: bool) -> None:
        """Blind transfer: both leave, the target rings, and answers or not."""
        host, holder = self.host, self.holder
        assert holder is not None, "somebody must talk before he can transfer"
        host.act(ActKind.TRANSFER, holder.number, target)
        host.act(ActKind.RING, self.phone, target)
        host.leave(holder)
        host.leave(self.customer)
        self.moved = True
        if self.call_type == 1:
            host.hangup(
                self.primary, self.phone, [holder.number], call_type=1, answered=True, began_seconds=self.began_seconds, trunk=self.trunk
            )
            self.primary = self.customer.unique_id
        telephone = host.channel(f"SIP/{target}", target, exten=target, connected=self.phone, linked=self.customer)
        if self.call_type == 1:
            host.new_callerid(telephone, _CONTEXT_TRANSFER)
        telephone.exten = ""
        host.wait(5)
        self.holder = None
        self.first = target
        if answered:
            host.act(ActKind.ANSWER, self.phone, target)
            self.customer.connected, self.customer.exten = target, target
            host.bridge(telephone, self.customer)
            self.holder = telephone

    def end(self, *, by_customer: bool = True, hangup: bool = True) -> None:
        """The call ends; without `hangup` the host loses that webhook, or never sends it."""
        host = self.host
        held = self.holder.number if self.holder is not None else ""
        host.act(ActKind.END, *((self.phone, held) if by_customer or not held else (held, self.phone)))
        bridge_id = self.customer.bridge_id
        others = [line for line in host.members(bridge_id) if line is not self.customer]
        for line in [self.customer, *others] if by_customer else [*others, self.customer]:
            if line.bridge_id:
                host.leave(line)
        if not hangup:
            return
        transferred = self.moved
        host.hangup(
            self.primary,
            self.phone,
            [self.first] if self.first else [],
            call_type=2 if transferred else self.call_type,
            answered=self.holder is not None,
            began_seconds=self.began_seconds,
            trunk=None if transferred else self.trunk,
        )

    def _hand_over(self, one: Line, two: Line, telephone: Line, talk_bridge: str, target_bridge: str, began: float) -> None:
        host, holder = self.host, self.holder
        assert holder is not None
        host.leave(holder)
        host.leave(one)
        if self.call_type == 1 and holder.unique_id == self.primary:
            host.hangup(
                self.primary, self.phone, [holder.number], call_type=1, answered=True, began_seconds=self.began_seconds, trunk=self.trunk
            )
        host.enter(one, talk_bridge)
        host.leave(self.customer)
        two.number = self.phone
        host.new_callerid(two, _CONTEXT_CONSULTATION)
        self.customer.connected = telephone.number
        host.enter(self.customer, target_bridge)
        host.leave(two)
        host.leave(one)
        host.hangup(two.unique_id, self.phone, [telephone.number], call_type=2, answered=True, began_seconds=began)
        self.holder = telephone


def incoming(host: Host, phone: str, trunk: str, *, greeting_seconds: float = 0.0) -> Talk:
    """A customer calls in on a line."""
    host.act(ActKind.CALL, phone, trunk)
    customer = host.channel(f"SIP/{trunk}", phone, exten=trunk)
    host.start(customer, phone, trunk)
    host.new_callerid(customer, _CONTEXT_TRUNK)
    began = host.now_seconds
    host.wait(greeting_seconds)
    return Talk(host, phone, trunk, customer.unique_id, 0, began, customer)


def outgoing(host: Host, extension: str, phone: str, trunk: str) -> Talk:
    """An extension dials out. `connect` has the customer answer."""
    host.act(ActKind.CALL, extension, phone)
    telephone = host.channel(f"SIP/{extension}", extension, exten=phone)
    host.dial(telephone.unique_id, phone, [extension], 1, trunk)
    customer = host.channel(f"SIP/{trunk}", phone, exten=phone, connected=extension, linked=telephone)
    host.new_callerid(customer, _CONTEXT_TRUNK)
    customer.exten = ""
    return Talk(host, phone, trunk, telephone.unique_id, 1, host.now_seconds, customer, holder=telephone, first=extension)


def connect(talk: Talk) -> None:
    """The customer of an outgoing call answers."""
    assert talk.holder is not None
    talk.host.act(ActKind.ANSWER, talk.holder.number, talk.phone)
    talk.host.bridge(talk.customer, talk.holder)
    talk.answered = True


def fail(talk: Talk) -> None:
    """An outgoing call that nobody answered ends."""
    talk.holder = None
    talk.end()


def internal(host: Host, caller: str, callee: str, *, ring_seconds: float, talk_seconds: float | None) -> None:
    """A colleague calls a colleague; `talk_seconds` None = nobody answers, and the only webhook is the hangup."""
    began = host.now_seconds
    host.act(ActKind.CALL, caller, callee)
    calling = host.channel(f"SIP/{caller}", caller, exten=callee, connected=callee)
    host.wait(ring_seconds)
    if talk_seconds is not None:
        host.act(ActKind.ANSWER, caller, callee)
        called = host.channel(f"SIP/{callee}", callee, connected=caller, linked=calling)
        host.bridge(calling, called)
        host.wait(talk_seconds)
        host.act(ActKind.END, callee, caller)
        host.leave(called)
        host.leave(calling)
    else:
        host.act(ActKind.END, caller, callee)
    host.hangup(calling.unique_id, caller, [callee], call_type=2, answered=talk_seconds is not None, began_seconds=began)
