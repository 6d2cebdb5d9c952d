"""The examination of CRMs: all at once, each with its deadline, told in the language of the enterprise, without secrets."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.crm.base import CrmAdapter, CrmKind, CrmSettingsError, Finding
from gateway.crm.registry import Crms
from gateway.doctor import DEADLINE_SECONDS, Examination, examine
from gateway.ports import EnterpriseConfig
from tester.fakes.crm import ScriptedCrm

KEY = "AbCdEfGh0123456789aBcDeFgH012345"
RETAIL = {"enabled": True, "domain": "https://store.example", "api_key": KEY}
OWN = {"enabled": True, "url": "https://crm.example/calls", "secret": KEY}
UON = {"enabled": True, "api_key": "Xy12345678901234"}
JUNE = EnterpriseConfig(number="0367", name="june", token="375290000900")
GOOD = (Finding(is_ok=True, text="ключ верен"),)
BAD = (Finding(is_ok=True, text="ключ верен"), Finding(is_ok=False, text="нет права на звонки", advice="Дайте ключу право."))


class Examinee(ScriptedCrm):
    """A CRM that finds what a test says, after a while."""

    def __init__(self, kind: CrmKind, findings: Sequence[Finding] = GOOD, *, seconds: float = 0.0, error: Exception | None = None) -> None:
        super().__init__(kind)
        self.findings = findings
        self.seconds = seconds
        self.error = error
        self.languages: list[str] = []

    async def examine(self, *, language: str) -> Sequence[Finding]:
        self.languages.append(language)
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return self.findings


def crms_of(*examinees: Examinee) -> Crms:
    def maker_of(crm: Examinee) -> Any:
        def make(_config: EnterpriseConfig, _settings: Mapping[str, Any]) -> CrmAdapter:
            return crm

        return make

    return Crms({crm.kind: maker_of(crm) for crm in examinees})


def with_crms(**integrations: Any) -> EnterpriseConfig:
    return attrs.evolve(JUNE, integrations=integrations)


def told(examination: Examination) -> list[str]:
    return list(examination.lines())


async def test_what_is_good_is_told_for_each_crm() -> None:
    found = await examine(crms_of(Examinee(CrmKind.OWN), Examinee(CrmKind.RETAILCRM)), with_crms(own=OWN, retailcrm=RETAIL))
    assert told(found) == [
        "Предприятие 0367 (june)",
        "retailcrm: в порядке",
        "  + ключ верен",
        "own: в порядке",
        "  + ключ верен",
        "не подключены: ms, uon, bitrix24",
        "Всё в порядке.",
    ]
    assert found.wrong == 0


async def test_what_is_wrong_is_told_with_what_to_do() -> None:
    found = await examine(crms_of(Examinee(CrmKind.OWN, BAD)), with_crms(own=OWN))
    assert told(found)[1:] == [
        "own: есть ошибки",
        "  + ключ верен",
        "  - нет права на звонки",
        "    → Дайте ключу право.",
        "не подключены: retailcrm, ms, uon, bitrix24",
        "Найдено ошибок: 1.",
    ]
    assert found.wrong == 1


async def test_an_enterprise_reads_it_in_its_own_language() -> None:
    own = Examinee(CrmKind.OWN, (Finding(is_ok=True, text="the key is good"),))
    found = await examine(crms_of(own), attrs.evolve(with_crms(own=OWN, uon={"enabled": False}), language="en", name=""))
    assert told(found) == [
        "Enterprise 0367",
        "uon: switched off",
        "own: all is well",
        "  + the key is good",
        "not connected: retailcrm, ms, bitrix24",
        "All is well.",
    ]
    assert own.languages == ["en"]


async def test_a_crm_that_is_switched_off_is_named_and_not_asked() -> None:
    own = Examinee(CrmKind.OWN, BAD)
    found = await examine(crms_of(own), with_crms(own={"enabled": False}))
    assert told(found)[1] == "own: выключена"
    assert (own.languages, found.wrong) == ([], 0)


async def test_a_crm_that_this_version_cannot_speak_to_is_wrong() -> None:
    found = await examine(crms_of(Examinee(CrmKind.OWN)), with_crms(own=OWN, uon=UON))
    assert "  - integrations.uon: this version cannot speak to this CRM" in told(found)
    assert sum("cannot speak" in line for line in told(found)) == 1
    assert found.wrong == 1


async def test_wrong_settings_are_told_once_by_their_names_only() -> None:
    def refuse(_config: EnterpriseConfig, _settings: Mapping[str, Any]) -> CrmAdapter:
        raise CrmSettingsError("integrations.own: url: is missing\nintegrations.own: this cannot be")

    found = await examine(Crms({CrmKind.OWN: refuse}), with_crms(own={"enabled": True, "secret": KEY}))
    lines = told(found)
    assert lines[1:4] == ["own: есть ошибки", "  - integrations.own: url: is missing", "  - integrations.own: this cannot be"]
    assert lines[4].startswith("    → Исправьте настройки")
    assert found.wrong == 2
    assert KEY not in "\n".join(lines)


async def test_what_is_damaged_beside_the_crms_is_told_too() -> None:
    config = attrs.evolve(with_crms(amo={"enabled": True}, own=5), integrations_problem="integrations_config is odd")
    lines = told(await examine(crms_of(Examinee(CrmKind.OWN)), config))
    assert "  - integrations.own: must be a table, not a number" in lines
    settings = lines.index("настройки: есть ошибки")
    assert lines[settings + 1 : settings + 3] == ["  - integrations_config is odd", '  - integrations: unknown key "amo"']
    assert lines[-1] == "Найдено ошибок: 3."


@pytest.mark.parametrize("smart", [{}, {"primary": "bitrix24"}, {"primary": "own"}])
async def test_a_primary_crm_that_leads_nowhere_is_told(smart: dict[str, Any]) -> None:
    config = with_crms(uon=UON, retailcrm={"enabled": False}, smart=smart)
    found = await examine(crms_of(Examinee(CrmKind.UON), Examinee(CrmKind.RETAILCRM)), config)
    primary = smart.get("primary", "retailcrm")
    assert (told(found)[-5:-2], found.wrong) == (
        [
            "настройки: есть ошибки",
            f"  - имена и ответственные ни у кого не запрашиваются: основная CRM (smart.primary) — {primary}, а она не включена",
            "    → Укажите в smart.primary одну из включённых (uon) и выполните gateway load. Если не указать, основной будет retailcrm.",
        ],
        1,
    )
    in_english = await examine(crms_of(Examinee(CrmKind.UON)), attrs.evolve(config, language="en"))
    assert any(line.startswith("  - nobody is asked for names") for line in told(in_english))


@pytest.mark.parametrize(
    "integrations",
    [{"own": OWN}, {"own": OWN, "smart": {"primary": "uon"}}, {"uon": UON, "smart": {"primary": "uon"}}, {"uon": {"enabled": False}}],
)
async def test_a_primary_crm_that_is_on_or_that_nobody_could_be_is_well(integrations: dict[str, Any]) -> None:
    found = await examine(crms_of(Examinee(CrmKind.OWN), Examinee(CrmKind.UON)), with_crms(**integrations))
    assert found.wrong == 0


async def test_without_crms_all_is_well() -> None:
    assert told(await examine(crms_of(Examinee(CrmKind.OWN)), JUNE))[1:] == ["CRM не подключены", "Всё в порядке."]


async def test_an_enterprise_that_is_switched_off_is_examined_all_the_same() -> None:
    found = await examine(crms_of(Examinee(CrmKind.OWN)), attrs.evolve(with_crms(own=OWN), active=False))
    assert told(found)[1:3] == ["предприятие выключено (active = false): CRM ничего не сообщается", "own: в порядке"]


async def test_all_crms_are_asked_at_once_and_a_silent_one_has_its_deadline(autojump_clock: MockClock) -> None:
    slow, silent = Examinee(CrmKind.OWN, seconds=9), Examinee(CrmKind.RETAILCRM, seconds=600)
    found = await examine(crms_of(slow, silent), with_crms(own=OWN, retailcrm=RETAIL))
    assert trio.current_time() == DEADLINE_SECONDS
    lines = told(found)
    assert lines[1:3] == ["retailcrm: есть ошибки", "  - CRM не ответила за 10 с"]
    assert lines[3].startswith("    → Проверьте, что CRM работает")
    assert "own: в порядке" in lines


async def test_a_mistake_of_ours_in_one_crm_hides_nothing_of_the_others_and_no_secret() -> None:
    broken = Examinee(CrmKind.RETAILCRM, error=KeyError(KEY))
    found = await examine(crms_of(broken, Examinee(CrmKind.OWN)), with_crms(own=OWN, retailcrm=RETAIL))
    assert told(found)[2] == "  - ошибка в самом шлюзе (KeyError)"
    assert "own: в порядке" in told(found)
    assert KEY not in "\n".join(told(found))


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb", "a\u202eb"])
async def test_what_a_crm_calls_its_things_cannot_move_the_cursor(text: str) -> None:
    found = await examine(crms_of(Examinee(CrmKind.OWN, (Finding(is_ok=False, text=text, advice=text),))), with_crms(own=OWN))
    assert all(line.isprintable() for line in told(found))
