"""How far a call has come, and whether there is anything to show yet."""

import attrs

from gateway.calls.call import Call
from gateway.calls.channels import ChannelKind
from gateway.calls.parties import Direction, Stage
from gateway.calls.profile import Profile, is_outside


@attrs.define(eq=False)
class Known:
    """An open call of the switchboard with the conclusions drawn so far. `real`: it has been shown to be a call, no longer a piece.

    `numbers` are the keys under which the switchboard finds it.
    """

    call: Call
    profile: Profile | None = None
    real: bool = False
    numbers: dict[str, None] = attrs.field(factory=dict[str, None])
    loose_event_ids: list[int] = attrs.field(factory=list[int])

    @property
    def waits_for_transfer(self) -> bool:
        """Whether the call, once it has ended, may still go on with the target of a blind transfer: an outgoing or internal one in which
        somebody has talked. Who hung up is not asked; asked of ended calls only (`gateway.calls.correlation.find_channel`).
        """
        return self.profile is not None and self.profile.direction is not Direction.INCOMING and bool(self.call.chain)


def stage_of(call: Call, profile: Profile | None) -> Stage | None:
    """How far the call has come; None while there is nothing to show (a piece, a leg alone)."""
    if profile is None:
        return None
    if call.closed_by:
        return Stage.FINAL
    if call.chain:
        return Stage.TALK
    if profile.direction is Direction.INTERNAL:
        return Stage.START if call.dials else None
    if call.dials:
        return Stage.DIAL
    return Stage.START if call.start is not None else None


def answered(call: Call, profile: Profile) -> bool:
    """Whether the customer was connected to a person, or, where no bridge tells, the main hangup says so (CallStatus "2")."""
    if call.chain:
        return True
    main = [call.hangups[unique_id] for unique_id in (profile.primary, *profile.anchors, *profile.ours) if unique_id in call.hangups]
    if not any(hangup.call_status == "2" for hangup in main):
        return False
    # Bridges were seen, but not the customer with a person. The host's word is believable where an event may be missing: a leg of the
    # customer was in some bridge, or a telephone was in one with nobody else.
    bridges = [state for state in call.bridges.values() if state.ever and not state.holding]
    if not bridges or any(leg.bridge_ids for key in profile.anchors if (leg := call.legs.get(key)) is not None):
        return True
    return any(len(state.ever) == 1 and _is_telephone(call, next(iter(state.ever))) for state in bridges)


def _is_telephone(call: Call, unique_id: str) -> bool:
    leg = call.legs.get(unique_id)
    return leg is not None and leg.channel.kind is ChannelKind.EXTENSION


def rung_extensions(call: Call) -> tuple[str, ...]:
    """The extensions that rang, in the order of their first ring."""
    found = {number: None for dial in call.dials if dial.call_type == 0 for number in dial.extensions if not is_outside(number)}
    return tuple(found)
