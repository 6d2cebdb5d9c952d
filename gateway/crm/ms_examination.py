"""What an administrator is told of an integration with МойСклад: are both keys good, do the people of `employee_mapping` exist there?"""

from collections.abc import Mapping
from typing import Any, cast

from gateway.crm.advice import advice_of
from gateway.crm.base import Finding, Problem
from gateway.crm.limits import LimitReached
from gateway.crm.ms_settings import MsSettings
from gateway.crm.ms_wire import MsApi, MsTrouble, Said, Verdict


async def examined(phone: MsApi, json: MsApi, settings: MsSettings, *, language: str) -> tuple[Finding, ...]:
    """Two harmless questions at most. Never raises."""
    say = _RU if language == "ru" else _EN
    findings: list[Finding] = []
    if not settings.phone_key:
        findings.append(Finding(is_ok=False, text=say["no phone key"], advice=say["get the phone key"]))
    else:
        said = await _asked(phone, "/employee", language, "correct phone key")
        if isinstance(said, Finding):
            findings.append(_about(said, say["phone api"]))
        else:
            findings += [Finding(is_ok=True, text=say["phone key"]), *mapping_findings(said.content, settings, language=language)]
    if not settings.token:
        findings.append(Finding(is_ok=True, text=say["no token"]))
    else:
        said = await _asked(json, "/entity/counterparty?limit=1", language, "correct token")
        findings.append(_about(said, say["json api"]) if isinstance(said, Finding) else Finding(is_ok=True, text=say["token"]))
    return tuple(findings)


async def _asked(api: MsApi, path: str, language: str, key: str) -> Said | Finding:
    """The answer, or what is wrong. `key`: the word for what to do when МойСклад does not take the key."""
    say = _RU if language == "ru" else _EN
    try:
        with await api.limiter.reserve(urgent=True) as places:
            said = await api.ask(places, "GET", path)
    except MsTrouble as exc:
        own = exc.advice.get("ru" if language == "ru" else "en")
        if exc.problem is Problem.UNAUTHORIZED:
            return Finding(is_ok=False, text=f"{say['unauthorized']} ({exc})", advice=own or say[key])
        return Finding(is_ok=False, text=str(exc), advice=own or advice_of(exc.problem, language))
    except LimitReached as exc:
        text = say["limit"].format(f"{exc.wait_seconds:.1f}")
        return Finding(is_ok=False, text=text, advice=advice_of(Problem.RATE_LIMIT, language))
    if said.verdict is Verdict.OK:
        return said
    return Finding(is_ok=False, text=say["no such thing"], advice=advice_of(Problem.NOT_FOUND, language))


def _about(finding: Finding, what: str) -> Finding:
    return Finding(is_ok=finding.is_ok, text=f"{what}: {finding.text}", advice=finding.advice)


def mapping_findings(content: Mapping[str, Any], settings: MsSettings, *, language: str) -> list[Finding]:
    """The mapping, compared with what `GET /employee` of the Phone API lists: those who have an extension there. Pure."""
    say = _RU if language == "ru" else _EN
    if not settings.employees:
        return [Finding(is_ok=False, text=say["nobody mapped"], advice=say["map"])]
    there = _extensions(content)
    findings: list[Finding] = []
    for extension, employee_id in settings.employees.items():
        actual = there.get(employee_id.lower()) if employee_id else None
        if employee_id and actual is None:
            findings.append(Finding(is_ok=False, text=say["unknown employee"].format(extension), advice=say["set extension"]))
        elif employee_id and actual != extension:
            findings.append(Finding(is_ok=False, text=say["other extension"].format(extension, actual), advice=say["set extension"]))
        elif not employee_id and extension not in there.values():
            findings.append(Finding(is_ok=False, text=say["unknown extension"].format(extension), advice=say["set extension"]))
    return findings or [Finding(is_ok=True, text=say["mapping"].format(len(settings.employees)))]


def _extensions(content: Mapping[str, Any]) -> dict[str, str]:
    """Extension by employee id. The vendor spells it `extention`."""
    employees: Any = content.get("employees")
    extensions: dict[str, str] = {}
    for each in cast("list[Any]", employees) if isinstance(employees, list) else []:
        row = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
        meta: Any = row.get("meta")
        href: Any = cast("dict[str, Any]", meta).get("href") if isinstance(meta, dict) else None
        extension: Any = row.get("extention")
        if isinstance(href, str) and isinstance(extension, str):
            extensions[href.rpartition("/")[2].lower()] = extension
    return extensions


_EN = {
    "phone api": "calls (Phone API)",
    "json api": "names (JSON API)",
    "unauthorized": "МойСклад does not accept the key",
    "correct phone key": "integration_code is not the key of the telephony solution: copy it from there again, then run gateway load.",
    "correct token": "api_token is wrong, revoked or may not see counterparties: make a new token in МойСклад, then run gateway load.",
    "limit": "the limit of requests is used up for at least {} s",
    "no such thing": "there is no such thing at this address",
    "phone key": "calls: МойСклад accepts integration_code",
    "token": "names: МойСклад accepts api_token",
    "no phone key": "calls: integration_code is missing",
    "get the phone key": "Connect telephony in the applications of МойСклад and put its key into integration_code.",
    "no token": "names: without api_token nobody is asked for names and responsible people",
    "nobody mapped": "employee_mapping is empty: nobody gets a card",
    "map": "Write employee_mapping: for each extension the id of its employee in МойСклад.",
    "mapping": "employee_mapping: all {} extensions are known to МойСклад",
    "unknown employee": "employee_mapping: the employee of extension {} is not among those who have an extension in МойСклад",
    "other extension": "employee_mapping: the employee of extension {} has extension {} in МойСклад",
    "unknown extension": "employee_mapping: nobody in МойСклад has extension {}",
    "set extension": "Give the employee this extension in his settings in МойСклад, or correct employee_mapping.",
}
_RU = {
    "phone api": "звонки (Phone API)",
    "json api": "имена (JSON API)",
    "unauthorized": "МойСклад не принимает ключ",
    "correct phone key": "integration_code — не ключ решения телефонии: скопируйте его оттуда заново и выполните gateway load.",
    "correct token": "api_token неверен, отозван или ему не видны контрагенты: создайте новый токен в МойСклад и выполните gateway load.",
    "limit": "лимит запросов исчерпан ещё как минимум на {} с",
    "no such thing": "по этому адресу такого нет",
    "phone key": "звонки: МойСклад принимает integration_code",
    "token": "имена: МойСклад принимает api_token",
    "no phone key": "звонки: нет integration_code",
    "get the phone key": "Подключите телефонию на странице приложений МойСклад и впишите её ключ в integration_code.",
    "no token": "имена: без api_token имена и ответственные не запрашиваются",
    "nobody mapped": "employee_mapping пуст: карточку не увидит никто",
    "map": "Заполните employee_mapping: для каждого добавочного — идентификатор сотрудника в МойСклад.",
    "mapping": "employee_mapping: МойСклад знает все добавочные, их {}",
    "unknown employee": "employee_mapping: сотрудника с добавочным {} нет среди тех, у кого в МойСклад есть добавочный",
    "other extension": "employee_mapping: у сотрудника с добавочным {} в МойСклад добавочный {}",
    "unknown extension": "employee_mapping: добавочного {} в МойСклад нет ни у кого",
    "set extension": "Укажите этот добавочный в карточке сотрудника в МойСклад или исправьте employee_mapping.",
}
