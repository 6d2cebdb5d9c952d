"""A follow-me number inside the call of a customer: it rings a colleague, and after a while his mobile as well.

`ask` is an attended transfer to it: the number is a Local pair, and of its ring steps only those of the mobile are reported. `send` is a
blind one: the customer's own channel runs the ring steps, and each is a dial of it. The number never hangs up by a webhook of its own;
the mobile does.
"""

import attrs

from tester.host import ActKind, Line
from tester.pbx import Talk
from tester.pbx_mobile import MobileLeg, mobile_pair, ring_mobile

_CONTEXT_CONSULTATION = "dialexecute"
_CONTEXT_STEP = "mngr25_2"
_CONTEXT_MOBILE = "179e93af"


@attrs.frozen(kw_only=True)
class Route:
    """Whom a follow-me number rings: a colleague, then his mobile too. The mobile is called on the line of the call; where there are
    `backup_lines` that one is taken, and the last of them is free.
    """

    number: str
    colleague: str
    mobile: str
    backup_lines: tuple[str, ...]


@attrs.define
class Question:
    """An attended transfer to a follow-me number: the customer waits in `talk_bridge`, `holder` asks. Made by `ask`.

    `one` and `two` are the ends of the number's pair: `one` is with `holder`, `two` will be with whoever answers, `partner`.
    """

    talk: Talk
    route: Route
    holder: Line
    one: Line
    two: Line
    talk_bridge: str
    telephone: Line
    mobile: MobileLeg | None = None
    partner: Line | None = None

    def ring_mobile(self) -> None:
        """The second ring step: the colleague once more, and his mobile."""
        talk, route, asks = self.talk, self.route, self.holder.number
        self.telephone = _telephone(talk, route, asks)
        self.mobile = ring_mobile(
            talk.host,
            talk.customer,
            asks,
            route.mobile,
            trunks=(talk.trunk, *route.backup_lines),
            pair=mobile_pair(talk.host, route.mobile, talk.customer),
            called=route.number,
            is_announced=False,
        )
        self.mobile.named = asks

    def answer_at_desk(self) -> None:
        """The colleague takes it; his mobile rings no more."""
        self._announce()
        self.talk.host.act(ActKind.ANSWER, self.holder.number, self.route.colleague)
        self.talk.host.bridge(self.two, self.telephone)
        self._rung().give_up()
        self.mobile, self.partner = None, self.telephone

    def answer_on_mobile(self) -> None:
        """The mobile is taken: two bridges, joined by its pair."""
        self._announce()
        self._rung().answer(self.two)
        self.partner = self._rung().one

    def hand_over(self) -> None:
        """Whoever answered takes the customer: he comes into the bridge in which the customer waits."""
        talk, host, partner = self.talk, self.talk.host, self._answered()
        talk.holder = self.mobile.leg if self.mobile is not None else self.telephone
        host.act(ActKind.TRANSFER, self.holder.number, talk.holder.number)
        host.act(ActKind.ANSWER, talk.phone, talk.holder.number)
        consultation = self.one.bridge_id
        host.leave(self.holder)
        host.leave(self.one, destroys=False)
        host.enter(self.one, self.talk_bridge)
        host.destroy(consultation)
        host.leave(partner)
        partner.connected = talk.phone
        host.enter(partner, self.talk_bridge)
        host.leave(self.one)
        self.two.number = talk.phone
        host.new_callerid(self.two, _CONTEXT_STEP)
        host.leave(self.two)
        talk.customer.connected = self.route.colleague
        if self.mobile is not None:
            talk.mobile = self.mobile
            self.mobile.two.number = self.mobile.leg.connected = self.mobile.named = talk.phone
            host.new_callerid(self.mobile.two, _CONTEXT_MOBILE)

    def refuse(self) -> None:
        """Whoever answered does not take the customer; who asked goes back to him."""
        host, partner = self.talk.host, self._answered()
        if self.mobile is not None:
            host.act(ActKind.REFUSE, self.route.mobile, self.holder.number)
            self.mobile.leave(mobile_first=True)
        else:
            host.act(ActKind.REFUSE, self.route.colleague, self.holder.number)
        host.leave(partner)
        host.leave(self.two)
        self._take_back()

    def give_up(self) -> None:
        """Nobody answered; who asked goes back to the customer."""
        for telephone in (self.route.colleague, self.route.mobile):
            self.talk.host.act(ActKind.NO_ANSWER, telephone, self.holder.number)
        self._take_back()
        self._announce()
        self._rung().give_up()

    def _announce(self) -> None:
        # The pair is called after the colleague, whichever of his telephones answers, and even when none did.
        self.one.number = self.two.connected = self.route.colleague
        self.talk.host.new_callerid(self.one, _CONTEXT_CONSULTATION)

    def _take_back(self) -> None:
        host = self.talk.host
        host.act(ActKind.ANSWER, self.talk.phone, self.holder.number)
        consultation = self.one.bridge_id
        host.leave(self.holder)
        host.enter(self.holder, self.talk_bridge)
        host.leave(self.one, destroys=False)
        host.destroy(consultation)

    def _rung(self) -> MobileLeg:
        assert self.mobile is not None, "the mobile is rung in the second step"
        return self.mobile

    def _answered(self) -> Line:
        assert self.partner is not None, "somebody must answer before he can take the customer or refuse"
        return self.partner


@attrs.define
class Sent:
    """A blind transfer to a follow-me number: the customer is in no bridge until somebody answers. Made by `send`."""

    talk: Talk
    route: Route

    def ring_mobile(self) -> None:
        """The second ring step: the colleague once more, and his mobile."""
        talk, route = self.talk, self.route
        talk.ring(route.colleague, route.mobile)
        talk.ring_mobile(route.mobile, *route.backup_lines, called=route.number)

    def answer_at_desk(self) -> None:
        """The colleague takes it; his mobile's hangup falls between the two that enter the bridge."""
        self.talk.answer(self.route.colleague, called_first=False, between=self._rung().give_up)

    def answer_on_mobile(self) -> None:
        """The mobile is taken: two bridges, joined by its pair."""
        mobile = self._rung()
        self.talk.customer.connected = self.route.colleague
        mobile.answer(self.talk.customer)
        self.talk.holder = mobile.leg

    def _rung(self) -> MobileLeg:
        assert self.talk.mobile is not None, "the mobile is rung in the second step"
        return self.talk.mobile


def ask(talk: Talk, route: Route) -> Question:
    """Who talks with the customer puts him on hold and calls the follow-me number; the first ring step begins."""
    host, holder = talk.host, talk.holder
    assert holder is not None, "somebody must talk before he can transfer"
    host.act(ActKind.HOLD, holder.number, talk.phone)
    host.act(ActKind.CALL, holder.number, route.number)
    host.act(ActKind.RING, holder.number, route.colleague)
    one, two = host.local_pair(route.number, _CONTEXT_CONSULTATION, linked=talk.customer)
    one.number, one.connected, two.number = "", holder.number, holder.number
    talk_bridge = holder.bridge_id
    consultation = host.bridge()
    host.new_callerid(two, _CONTEXT_CONSULTATION)
    host.leave(holder)
    host.enter(holder, consultation)
    host.enter(one, consultation)
    return Question(talk, route, holder, one, two, talk_bridge, _telephone(talk, route, holder.number))


def send(talk: Talk, route: Route) -> Sent:
    """Who talks with the customer hands him over to the follow-me number and is gone; the first ring step begins."""
    host, holder = talk.host, talk.holder
    assert holder is not None, "somebody must talk before he can transfer"
    host.act(ActKind.TRANSFER, holder.number, route.number)
    host.leave(talk.customer)
    host.leave(holder)
    talk.holder, talk.first, talk.customer.exten = None, "", route.number
    talk.ring(route.colleague)
    return Sent(talk, route)


def _telephone(talk: Talk, route: Route, caller: str) -> Line:
    return talk.host.channel(f"SIP/{route.colleague}", route.colleague, connected=caller, linked=talk.customer)
