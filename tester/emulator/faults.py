"""A script with its faults: what is posted when. Pure.

A delayed webhook is taken out of its place and posted when its time has come; the others are not held up by it. (A host posts one at a
time, so one that hangs delays all that follow, and nothing is out of order then; what is played here is the webhook that is overtaken.)
Its delay is one of the script: at ten times the pace it is a tenth, and without any waiting it is the place in the order that counts.
"""

from collections.abc import Mapping, Sequence

import attrs

from tester.emulator.orders import LONGEST_DELAY_SECONDS, EventFault, EventTrouble
from tester.emulator.wording import Wording
from tester.host import Posted


@attrs.frozen(kw_only=True)
class Sending:
    """The webhook number `index` of the script leaves at `at_seconds` of the script, or is lost at that moment.

    `is_repetition`: it goes out a second time.
    """

    index: int
    at_seconds: float
    posted: Posted
    is_repetition: bool = False
    is_lost: bool = False


def fault_problem(faults: Sequence[EventFault], events: int, wording: Wording) -> str:
    """What is wrong with the faults of a script of so many events, in one line; "" when nothing is. People count from 1."""
    swapped = {fault.index for fault in faults if fault.trouble is EventTrouble.SWAP}
    seen: set[int] = set()
    for fault in faults:
        number = fault.index + 1
        if not 0 <= fault.index < events:
            return wording.no_such_event.format(number=number, total=events)
        if fault.index in seen:
            return wording.two_faults.format(number=number)
        seen.add(fault.index)
        if fault.trouble is EventTrouble.DELAY:
            # Written so that it refuses NaN as well.
            if not 0 < fault.seconds <= LONGEST_DELAY_SECONDS:
                return wording.delay_range.format(number=number, most=int(LONGEST_DELAY_SECONDS))
        elif fault.seconds:
            return wording.only_delays_wait.format(number=number)
        if fault.trouble is EventTrouble.SWAP:
            if fault.index == events - 1:
                return wording.no_next_event.format(number=number)
            if fault.index - 1 in swapped:
                return wording.swapped_twice.format(number=number)
    return ""


def spoiled(script: Sequence[Posted], faults: Sequence[EventFault]) -> tuple[Sending, ...]:
    """What leaves the host, in its order. The faults are checked (`fault_problem`)."""
    by_index: Mapping[int, EventFault] = {fault.index: fault for fault in faults}
    order = list(range(len(script)))
    for index, fault in by_index.items():
        if fault.trouble is EventTrouble.SWAP:
            order[index], order[index + 1] = index + 1, index
    sendings: list[Sending] = []
    for place, index in enumerate(order):
        fault = by_index.get(index)
        trouble = fault.trouble if fault is not None else None
        late_seconds = fault.seconds if fault is not None else 0.0
        sending = Sending(
            index=index,
            at_seconds=script[place].at_seconds + late_seconds,
            posted=script[index],
            is_lost=trouble is EventTrouble.LOSE,
        )
        sendings.append(sending)
        if trouble is EventTrouble.DOUBLE:
            sendings.append(attrs.evolve(sending, is_repetition=True))
    # Stable: what is posted in the same moment stays in its order. What is late goes behind what was meant to leave when it does.
    late = {index for index, fault in by_index.items() if fault.trouble is EventTrouble.DELAY}
    return tuple(sorted(sendings, key=lambda sending: (sending.at_seconds, sending.index in late)))
