"""Which CRMs are to get a report, and what else one of them wants with it. Pure."""

from collections.abc import Iterable

import attrs

from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import CrmKind
from gateway.ports import Owed

# A telephony event "hangup" of a call that RetailCRM has not heard ring is lost there. What is recovered hours later rings nobody's bell.
WANT_A_DIAL_FIRST = frozenset({CrmKind.RETAILCRM})


def owed_of(kinds: Iterable[CrmKind], report: CallReport) -> tuple[Owed, ...]:
    """What these CRMs are owed for this report, dials before hangups.

    With the hangup of a call that was heard live comes a made-up dial for those who want one first; where a dial is there already, or was,
    the store drops it.
    """
    owed: list[Owed] = []
    for kind in dict.fromkeys(kinds):
        if kind in WANT_A_DIAL_FIRST and report.kind is ReportKind.HANGUP and not report.recovered:
            owed.append(Owed(crm=kind.value, report=synthetic_dial(report)))
        owed.append(Owed(crm=kind.value, report=report))
    return tuple(owed)


def synthetic_dial(hangup: CallReport) -> CallReport:
    """The dial that must have been before this end: the same call, and nothing of how it ended."""
    return attrs.evolve(
        hangup,
        kind=ReportKind.DIAL,
        synthetic=True,
        mobile="",
        transfers=(),
        answered_at=None,
        ended_at=None,
        duration_seconds=None,
        talk_seconds=None,
        waiting_seconds=None,
        answered=False,
        busy=False,
        recording_url="",
    )
