"""A PBX that plays calls: what the telephones do, in; the webhooks that its listener posts, out.

A call is written as the steps of its telephones (`incoming`, `ring`, `answer`, `attend`, …) on a `Host` (`tester.host`); each step writes
down the webhooks with the fields, encodings and order that hosts were seen to use.
"""

from collections.abc import Callable

import attrs

from gateway.calls.phones import is_internal
from tester.host import ActKind, Host, Line, Posted
from tester.pbx_mobile import MobileLeg, mobile_pair, ring_mobile

__all__ = ["Host", "Line", "Posted", "Talk", "connect", "fail", "incoming", "internal", "outgoing"]

_CONTEXT_TRUNK = "from-out-office"
_CONTEXT_CONSULTATION = "dialexecute"
_CONTEXT_TRANSFER = "inoffice"


@attrs.define
class Talk:
    """A call of a customer with the enterprise, step by step. Made by `incoming` or `outgoing`; the steps are its methods.

    `customer` is the customer's channel, `holder` the telephone that talks now, `primary` the id under which the call's hangup is posted,
    `first` who answered first, `mobile` the mobile that rings or has answered.
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
    mobile: MobileLeg | None = None
    rung_seconds: float | None = None
    received_seconds: float | None = None
    _telephones: dict[str, Line] = attrs.field(factory=dict[str, Line])
    _pairs: dict[str, tuple[Line, Line]] = attrs.field(factory=dict[str, tuple[Line, Line]])

    def ring(self, *numbers: str) -> None:
        """A ring step: who rings now; departments name their people `SIP/151`. A mobile gets its pair, and `ring_mobile` calls it."""
        host = self.host
        if self.rung_seconds is not None:
            self.received_seconds = host.now_seconds
        self.rung_seconds = host.now_seconds
        host.dial(self.customer.unique_id, self.phone, numbers, 0, self.trunk)
        self._telephones.clear()
        for number in (each.removeprefix("SIP/") for each in numbers):
            if is_internal(number):
                host.act(ActKind.RING, self.phone, number)
                self._telephones[number] = self._telephone(number)
            else:
                self._pairs[number] = mobile_pair(host, number, self.customer)

    def answer(self, extension: str, *, called_first: bool = True, between: Callable[[], None] | None = None) -> None:
        """A telephone answers. `called_first`: the called side enters the bridge before the caller (live hosts; both are seen).
        `between`: what is posted after the first of the two has entered.
        """
        self.host.act(ActKind.ANSWER, self.phone, extension)
        telephone = self._telephones.pop(extension, None) or self._telephone(extension)
        self.customer.connected = extension
        enters, follows = (telephone, self.customer) if called_first else (self.customer, telephone)
        bridge_id = self.host.bridge(enters)
        if between is not None:
            between()
        self.host.enter(follows, bridge_id)
        self.holder, self.answered = telephone, True
        self.first = self.first or extension

    def ring_mobile(self, mobile: str, *backup_trunks: str, called: str = "") -> MobileLeg:
        """A manager's mobile is rung inside the call: a Local pair, and a trunk leg on each line; all but the last are taken.

        `called`: the follow-me number that rings it, "" for the line.
        """
        pair = self._pairs.pop(mobile, None) or mobile_pair(self.host, mobile, self.customer)
        trunks = (self.trunk, *backup_trunks)
        self.mobile = ring_mobile(self.host, self.customer, self.phone, mobile, trunks=trunks, pair=pair, called=called)
        return self.mobile

    def mobile_answers(self, mobile: str, *backup_trunks: str, ring_seconds: float = 3.0) -> None:
        """The mobile is rung and answers: two bridges joined by the pair."""
        leg = self.ring_mobile(mobile, *backup_trunks)
        self.host.wait(ring_seconds)
        leg.answer(self.customer)
        self.holder, self.answered = leg.leg, True
        self.first = self.first or mobile

    def mobile_gives_up(self, mobile: str, *backup_trunks: str, ring_seconds: float = 4.0) -> None:
        """The mobile is rung and does not answer."""
        leg = self.ring_mobile(mobile, *backup_trunks)
        self.host.wait(ring_seconds)
        leg.give_up()

    def attend(
        self,
        target: str,
        *,
        accepted: bool,
        picked_up: bool = True,
        ring_seconds: float = 3.0,
        word_seconds: float = 4.0,
        first: Callable[[], None] | None = None,
    ) -> None:
        """Attended transfer: the holder asks `target`; accepted, refused after a word, or not picked up. `first`: what `target` does before
        he picks up.
        """
        host, holder = self.host, self.holder
        assert holder is not None, "somebody must talk before he can transfer"
        talk_bridge, asks = holder.bridge_id, holder.number
        host.act(ActKind.HOLD, asks, self.phone)
        host.act(ActKind.RING, asks, target)
        one, two = host.local_pair(target, _CONTEXT_CONSULTATION, linked=self.customer)
        one.connected, two.number, began = asks, asks, host.now_seconds
        consultation = host.bridge()
        host.new_callerid(two, _CONTEXT_CONSULTATION)
        host.leave(holder)
        host.enter(holder, consultation)
        host.new_callerid(one, _CONTEXT_CONSULTATION)
        host.enter(one, consultation)
        telephone = host.channel(f"SIP/{target}", target, connected=asks, linked=self.customer)
        host.wait(ring_seconds)
        if not picked_up:
            self._return_unheard(one, two, talk_bridge, began)
            return
        if first is not None:
            first()
        host.act(ActKind.ANSWER, asks, target)
        two.connected = holder.connected = target
        target_bridge = host.bridge(telephone, two)
        host.wait(word_seconds)
        if accepted:
            host.act(ActKind.TRANSFER, asks, target)
            host.act(ActKind.ANSWER, self.phone, target)
            self._hand_over(one, two, telephone, talk_bridge, target_bridge, began)
            return
        host.act(ActKind.REFUSE, target, asks)
        host.act(ActKind.ANSWER, self.phone, asks)
        host.leave(telephone)
        host.leave(two)
        host.hangup(two.unique_id, asks, [target], call_type=2, answered=True, began_seconds=began)
        host.leave(one)
        host.leave(holder, destroys=False)
        host.enter(holder, talk_bridge)
        host.destroy(consultation)
        holder.connected = self.phone

    def blind(self, target: str, *, answered: bool, ring_seconds: float = 5.0) -> None:
        """Blind transfer: both leave, the target rings, and answers or not; it rings on, and may `answer` later."""
        host, holder = self.host, self.holder
        assert holder is not None, "somebody must talk before he can transfer"
        host.act(ActKind.TRANSFER, holder.number, target)
        host.act(ActKind.RING, self.phone, target)
        host.leave(holder)
        host.leave(self.customer)
        self.moved, self.received_seconds = True, host.now_seconds
        if self.call_type == 1:
            self._our_hangup(holder)
            self.primary = self.customer.unique_id
        telephone = host.channel(f"SIP/{target}", target, exten=target, connected=self.phone, linked=self.customer)
        if self.call_type == 1:
            host.new_callerid(telephone, _CONTEXT_TRANSFER)
        telephone.exten = ""
        self._telephones[target] = telephone
        host.wait(ring_seconds)
        self.holder = None
        self.first = self.customer.exten = target
        if answered:
            self.answer(target)

    def end(self, *, by_customer: bool = True, hangup: bool = True) -> None:
        """The call ends; without `hangup` the host loses the call's own one, or never sends it."""
        host = self.host
        held = self.holder.number if self.holder is not None else ""
        ours = held or (self.first if self.call_type == 1 and not self.answered else "")
        host.act(ActKind.END, *((self.phone, held) if by_customer or not ours else (ours, self.phone)))
        mobile = self.mobile if self.mobile is not None and self.holder is self.mobile.leg else None
        if mobile is not None and not by_customer:
            mobile.leave(mobile_first=True)
        others = [line for line in host.members(self.customer.bridge_id) if line is not self.customer]
        for line in [self.customer, *others] if by_customer else [*others, self.customer]:
            if line.bridge_id:
                host.leave(line)
        if hangup:
            self._hangup()
        if mobile is not None and by_customer:
            mobile.leave(mobile_first=False)

    def _hangup(self) -> None:
        is_customers = self.moved and self.call_type == 1
        received = self.received_seconds
        if received is None and not self.answered and self.call_type == 0:
            received = self.rung_seconds
        self.host.hangup(
            self.primary,
            self.phone,
            [self.first] if self.first else [],
            call_type=2 if self.moved else self.call_type,
            answered=self.holder is not None,
            began_seconds=received if is_customers and received is not None else self.began_seconds,
            trunk=None if self.moved else self.trunk,
            received_seconds=None if is_customers else received,
        )

    def _our_hangup(self, holder: Line) -> None:
        """The calling telephone of an outgoing call is gone, and the call goes on."""
        self.host.hangup(
            self.primary,
            self.phone,
            [holder.number],
            call_type=1,
            answered=True,
            began_seconds=self.began_seconds,
            received_seconds=self.received_seconds,
            trunk=self.trunk,
        )

    def _telephone(self, extension: str) -> Line:
        return self.host.channel(f"SIP/{extension}", extension, connected=self.phone, linked=self.customer)

    def _return_unheard(self, one: Line, two: Line, talk_bridge: str, began: float) -> None:
        host, holder, target = self.host, self.holder, one.number
        assert holder is not None
        consultation, asks = one.bridge_id, holder.number
        host.act(ActKind.NO_ANSWER, target, asks)
        host.act(ActKind.ANSWER, self.phone, asks)
        host.leave(holder)
        holder.connected = target
        host.enter(holder, talk_bridge)
        host.leave(one, destroys=False)
        # Recorded: the hangup of an incoming call's consultation names nobody, that of an outgoing call's the one who was asked.
        host.hangup(two.unique_id, asks, [target] if self.call_type == 1 else [], call_type=2, answered=False, began_seconds=began)
        host.destroy(consultation)
        holder.connected = self.phone

    def _hand_over(self, one: Line, two: Line, telephone: Line, talk_bridge: str, target_bridge: str, began: float) -> None:
        host, holder = self.host, self.holder
        assert holder is not None
        consultation = one.bridge_id
        host.leave(holder)
        host.leave(one, destroys=False)
        host.enter(one, talk_bridge)
        host.destroy(consultation)
        self.received_seconds = host.now_seconds
        if self.call_type == 1 and holder.unique_id == self.primary:
            self._our_hangup(holder)
        host.leave(self.customer)
        self.customer.connected = telephone.number
        host.enter(self.customer, target_bridge)
        host.leave(two)
        two.number = self.phone
        host.new_callerid(two, _CONTEXT_CONSULTATION)
        host.leave(one)
        host.hangup(two.unique_id, self.phone, [telephone.number], call_type=2, answered=True, began_seconds=began)
        telephone.connected = self.phone
        self.holder = telephone


def incoming(host: Host, phone: str, trunk: str, *, greeting_seconds: float = 0.0) -> Talk:
    """A customer calls in on a line."""
    host.act(ActKind.CALL, phone, trunk)
    host.name(phone, f"-{phone}")
    customer = host.channel(f"SIP/{trunk}", phone, exten=trunk)
    host.start(customer, phone, trunk)
    host.new_callerid(customer, _CONTEXT_TRUNK)
    began = host.now_seconds
    host.wait(greeting_seconds)
    return Talk(host, phone, trunk, customer.unique_id, 0, began, customer)


def outgoing(host: Host, extension: str, phone: str, trunk: str) -> Talk:
    """An extension dials out. `connect` has the customer answer."""
    host.act(ActKind.CALL, extension, phone)
    host.name(extension, extension)
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
    """An outgoing call that nobody answered ends: the extension gives up."""
    talk.holder = None
    talk.end(by_customer=False)


def internal(host: Host, caller: str, callee: str, *, ring_seconds: float, talk_seconds: float | None) -> None:
    """A colleague calls a colleague; `talk_seconds` None = nobody answers, and the only webhook is the hangup."""
    began = host.now_seconds
    host.act(ActKind.CALL, caller, callee)
    host.name(caller, caller)
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
