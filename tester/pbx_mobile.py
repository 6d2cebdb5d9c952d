"""A manager's mobile that is rung inside the call of a customer: a Local pair, and a trunk leg for each line tried."""

from collections.abc import Sequence

import attrs

from tester.host import ActKind, Host, Line

_CONTEXT_TRUNK = "from-out-office"
_CONTEXT_MOBILE = "179e93af"


@attrs.define
class MobileLeg:
    """The mobile's side of a call. Made by `ring_mobile`; it either gives up or answers, and then leaves.

    `one` and `two` are the ends of the Local pair: `one` meets the customer, `two` the mobile. `leg` is the channel on the line tried last.
    `named`: whom its hangup names once it has talked; a ring group's mobile names nobody.
    """

    host: Host
    phone: str
    mobile: str
    trunk: str
    one: Line
    two: Line
    leg: Line
    began_seconds: float
    named: str = ""

    def give_up(self) -> None:
        """Nobody took the mobile, or somebody else was quicker."""
        self._hangup([self.phone], answered=False)

    def answer(self, customer: Line) -> None:
        """The mobile is taken: two bridges, joined by the pair."""
        self.host.act(ActKind.ANSWER, self.phone, self.mobile)
        self.host.bridge(self.leg, self.two)
        self.host.bridge(self.one, customer)

    def leave(self, *, mobile_first: bool) -> None:
        """The mobile's bridge ends, and then its own hangup comes."""
        for line in (self.leg, self.two) if mobile_first else (self.two, self.leg):
            self.host.leave(line)
        self._hangup([self.named] if self.named else [], answered=True)

    def _hangup(self, extensions: Sequence[str], *, answered: bool) -> None:
        self.host.hangup(
            self.two.unique_id,
            self.mobile,
            extensions,
            call_type=1,
            answered=answered,
            began_seconds=self.began_seconds,
            trunk=self.trunk,
        )


def mobile_pair(host: Host, mobile: str, customer: Line) -> tuple[Line, Line]:
    """Create the Local pair to a mobile, as a ring step does it."""
    return host.local_pair(mobile, _CONTEXT_MOBILE, linked=customer)


def ring_mobile(
    host: Host,
    customer: Line,
    phone: str,
    mobile: str,
    *,
    trunks: Sequence[str],
    pair: tuple[Line, Line],
    called: str = "",
    is_announced: bool = True,
) -> MobileLeg:
    """Ring a mobile through the lines `trunks`: those before the last are taken and refuse at once.

    `phone` is who calls it, `called` what he has called: a follow-me number, "" for the line. Inside a consultation the pair is not
    announced.
    """
    host.act(ActKind.RING, phone, mobile)
    one, two = pair
    one.number = one.exten = two.connected = called or trunks[0]
    two.number = one.connected = phone
    if is_announced:
        host.new_callerid(one, _CONTEXT_MOBILE)
        host.new_callerid(two, _CONTEXT_MOBILE)
    one.exten = ""
    legs = [_try_line(host, customer, phone, mobile, two, trunk) for trunk in trunks]
    return MobileLeg(host, phone, mobile, trunks[-1], one, two, legs[-1], host.now_seconds)


def _try_line(host: Host, customer: Line, phone: str, mobile: str, two: Line, trunk: str) -> Line:
    host.dial(two.unique_id, mobile, [phone], 1, trunk)
    leg = host.channel(f"SIP/{trunk}", mobile, exten=mobile, connected=phone, linked=customer)
    host.new_callerid(leg, _CONTEXT_TRUNK)
    leg.exten = ""
    return leg
