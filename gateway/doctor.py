"""The examination of an enterprise's CRMs for its administrator: what is good, what is wrong, and what to do about it.

Each CRM that is switched on is asked harmless questions by its adapter, all at the same time. Nothing is changed, nobody is told of a call.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

import attrs
import trio

from gateway.crm.advice import advice_of
from gateway.crm.base import CrmKind, CrmSettingsError, Finding, Problem
from gateway.crm.registry import DEFAULT_PRIMARY, Crms
from gateway.ports import EnterpriseConfig

# For all questions to one CRM: an administrator waits for it, and a dozen questions under a vendor's limit take some seconds.
DEADLINE_SECONDS = 10.0


@attrs.frozen(kw_only=True)
class _Words:
    """What is said here itself. `{0}` is filled in."""

    enterprise: str
    inactive: str
    none: str
    settings: str
    good: str
    wrong: str
    off: str
    absent: str
    timeout: str
    broken: str
    broken_advice: str
    no_names: str
    no_names_advice: str
    result_good: str
    result_wrong: str


_RUSSIAN: Final = _Words(
    enterprise="Предприятие {0}",
    inactive="предприятие выключено (active = false): CRM ничего не сообщается",
    none="CRM не подключены",
    settings="настройки",
    good="в порядке",
    wrong="есть ошибки",
    off="выключена",
    absent="не подключены: {0}",
    timeout="CRM не ответила за {0} с",
    broken="ошибка в самом шлюзе ({0})",
    broken_advice="Сообщите о ней разработчикам: в этой CRM проверено не всё.",
    no_names="имена и ответственные ни у кого не запрашиваются: основная CRM (smart.primary) — {0}, а она не включена",
    no_names_advice="Укажите в smart.primary одну из включённых ({0}) и выполните gateway load. Если не указать, основной будет {1}.",
    result_good="Всё в порядке.",
    result_wrong="Найдено ошибок: {0}.",
)
_ENGLISH: Final = _Words(
    enterprise="Enterprise {0}",
    inactive="the enterprise is switched off (active = false): CRMs are told nothing",
    none="no CRM is connected",
    settings="settings",
    good="all is well",
    wrong="something is wrong",
    off="switched off",
    absent="not connected: {0}",
    timeout="the CRM did not answer within {0} s",
    broken="a mistake in the gateway itself ({0})",
    broken_advice="Tell its developers: not everything in this CRM was examined.",
    no_names="nobody is asked for names and responsible people: the primary CRM (smart.primary) is {0}, which is not switched on",
    no_names_advice="Put one of those that are on into smart.primary ({0}), then run gateway load. Left out, it is {1}.",
    result_good="All is well.",
    result_wrong="Things that are wrong: {0}.",
)
# As for cards: Russian for a language that does not ship.
_LANGUAGES: Final[Mapping[str, _Words]] = MappingProxyType({"ru": _RUSSIAN, "en": _ENGLISH})


@attrs.frozen(kw_only=True)
class Examined:
    """One CRM. What is switched off is not asked, but its settings are read."""

    kind: CrmKind
    is_on: bool
    findings: tuple[Finding, ...] = ()


@attrs.frozen(kw_only=True)
class Examination:
    """All CRMs of an enterprise, connected ones only, and what is wrong with its integrations beside them."""

    enterprise: EnterpriseConfig
    crms: tuple[Examined, ...]
    others: tuple[Finding, ...] = ()

    @property
    def wrong(self) -> int:
        """How many things are wrong."""
        found = (*self.others, *(finding for crm in self.crms for finding in crm.findings))
        return sum(not finding.is_ok for finding in found)

    def lines(self) -> Iterator[str]:
        """For people, in the language of the enterprise; no control characters, whatever a CRM has called its things."""
        words = _words_of(self.enterprise)
        name = f"{self.enterprise.number} ({self.enterprise.name})" if self.enterprise.name else self.enterprise.number
        yield _plain(words.enterprise.format(name))
        if not self.enterprise.active:
            yield words.inactive
        for crm in self.crms:
            state = words.wrong if any(not finding.is_ok for finding in crm.findings) else words.good if crm.is_on else words.off
            yield f"{crm.kind}: {state}"
            yield from _finding_lines(crm.findings)
        if self.others:
            yield f"{words.settings}: {words.wrong}"
            yield from _finding_lines(self.others)
        if absent := [kind.value for kind in CrmKind if kind not in (crm.kind for crm in self.crms)]:
            yield words.absent.format(", ".join(absent)) if self.crms else words.none
        yield words.result_wrong.format(self.wrong) if self.wrong else words.result_good


async def examine(crms: Crms, enterprise: EnterpriseConfig) -> Examination:
    """Ask all CRMs of this enterprise at once; each has `DEADLINE_SECONDS`, and none holds up or fails another."""
    problems = list(dict.fromkeys(line for problem in crms.problems(enterprise) for line in problem.splitlines()))
    found: dict[CrmKind, Examined] = {}

    async def ask(kind: CrmKind, wrong: Sequence[str]) -> None:
        found[kind] = await _examine_one(crms, enterprise, kind, wrong)

    async with trio.open_nursery() as nursery:
        for kind in CrmKind:
            if kind in enterprise.integrations:
                nursery.start_soon(partial(ask, kind, [line for line in problems if _is_about(line, kind)]))
    others = [line for line in problems if not any(_is_about(line, kind) for kind in found)]
    return Examination(
        enterprise=enterprise,
        crms=tuple(found[kind] for kind in CrmKind if kind in found),
        others=(*_settings_findings(others, enterprise), *_primary_findings(crms, enterprise)),
    )


async def _examine_one(crms: Crms, enterprise: EnterpriseConfig, kind: CrmKind, wrong: Sequence[str]) -> Examined:
    if not _is_on(enterprise, kind):
        return Examined(kind=kind, is_on=False, findings=_settings_findings(wrong, enterprise))
    findings: list[Finding] = []
    with trio.move_on_after(DEADLINE_SECONDS) as scope:
        try:
            findings += await crms.adapter(enterprise, kind).examine(language=enterprise.language)
        except CrmSettingsError as exc:
            wrong = list(dict.fromkeys([*wrong, *str(exc).splitlines()]))
        except Exception as exc:  # noqa: BLE001  (adapters promise never to raise; one that does must not hide what the others say)
            words = _words_of(enterprise)
            # The kind only: the text of an unforeseen error may hold a key.
            findings.append(Finding(is_ok=False, text=words.broken.format(type(exc).__name__), advice=words.broken_advice))
    if scope.cancelled_caught:
        text = _words_of(enterprise).timeout.format(f"{DEADLINE_SECONDS:g}")
        findings.append(Finding(is_ok=False, text=text, advice=advice_of(Problem.CONNECTION, enterprise.language)))
    return Examined(kind=kind, is_on=True, findings=(*_settings_findings(wrong, enterprise), *findings))


def _primary_findings(crms: Crms, enterprise: EnterpriseConfig) -> tuple[Finding, ...]:
    """A primary CRM that leads nowhere, although there is one that could be asked. An own CRM cannot be."""
    on = [kind for kind in CrmKind if kind in crms.kinds and _is_on(enterprise, kind)]
    askable = [kind.value for kind in on if kind is not CrmKind.OWN]
    primary = crms.primary(enterprise)
    if primary in on or not askable:
        return ()
    words = _words_of(enterprise)
    advice = words.no_names_advice.format(", ".join(askable), DEFAULT_PRIMARY)
    return (Finding(is_ok=False, text=words.no_names.format(primary), advice=advice),)


def _is_on(enterprise: EnterpriseConfig, kind: CrmKind) -> bool:
    table = enterprise.integrations.get(kind)
    return isinstance(table, Mapping) and table.get("enabled") is True  # pyright: ignore[reportUnknownMemberType]


def _is_about(line: str, kind: CrmKind) -> bool:
    return line.startswith((f"integrations.{kind}:", f"integrations.{kind}."))


def _settings_findings(lines: Sequence[str], enterprise: EnterpriseConfig) -> tuple[Finding, ...]:
    """In the words of `gateway load`, which are English. What to do is the same for all and said once."""
    advice = advice_of(Problem.SETTINGS, enterprise.language)
    return tuple(Finding(is_ok=False, text=line, advice="" if line != lines[-1] else advice) for line in lines)


def _finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"  {'+' if finding.is_ok else '-'} {_plain(finding.text)}"
        if finding.advice:
            yield f"    → {_plain(finding.advice)}"


def _words_of(enterprise: EnterpriseConfig) -> _Words:
    return _LANGUAGES.get(enterprise.language, _RUSSIAN)


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
