"""What a problem with a CRM means: whose fault it is, whether to try again, and what an administrator can do, in each language.

One row for each `Problem`. Outcomes, the outbox and `integration_logs` carry the English line; whoever shows it to people takes theirs with
`advice_of(problem, language)`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from gateway.crm.base import Fault, Outcome, OutcomeClass, Problem


@attrs.frozen(kw_only=True)
class Advice:
    """`is_retryable`: trying again later may help although nobody does anything. `en`, `ru`: one line each, to an administrator."""

    fault: Fault
    is_retryable: bool
    en: str
    ru: str


ADVICE: Mapping[Problem, Advice] = MappingProxyType(
    {
        Problem.SETTINGS: Advice(
            fault=Fault.OURS,
            is_retryable=False,
            en="Correct the settings of this integration in the configuration file, then run gateway load.",
            ru="Исправьте настройки этой интеграции в файле конфигурации и выполните gateway load.",
        ),
        Problem.SWITCHED_OFF: Advice(
            fault=Fault.OURS,
            is_retryable=False,
            en="Nothing, if this is meant. Otherwise switch the integration on again and let what was given up be tried anew (retry).",
            ru="Ничего, если так и задумано. Иначе включите интеграцию и отправьте неотправленное заново (retry).",
        ),
        Problem.TARGET_REFUSED: Advice(
            fault=Fault.OURS,
            is_retryable=False,
            en="The address must be https and public. A CRM in the own network needs the gateway's setting allow_private_targets = true.",
            ru="Адрес должен быть https и общедоступным. Для CRM в своей сети нужна настройка шлюза allow_private_targets = true.",
        ),
        Problem.CONNECTION: Advice(
            fault=Fault.THEIRS,
            is_retryable=True,
            en="Check that the CRM is up, that its name resolves and that its certificate is valid; nothing is lost until the last try.",
            ru="Проверьте, что CRM работает, имя разрешается, сертификат действителен; до последней попытки ничего не теряется.",
        ),
        Problem.TIMEOUT: Advice(
            fault=Fault.THEIRS,
            is_retryable=True,
            en="The CRM answers too slowly: it should accept the report at once and do its work afterwards.",
            ru="CRM отвечает слишком медленно: ей следует сразу принять событие, а обрабатывать его потом.",
        ),
        Problem.RATE_LIMIT: Advice(
            fault=Fault.THEIRS,
            is_retryable=True,
            en="The CRM asks for fewer requests; if this goes on, raise the limit there or stop other programs that use the same key.",
            ru="CRM просит обращаться реже; если это не проходит, поднимите лимит в CRM или уберите другие программы с тем же ключом.",
        ),
        Problem.SERVER_ERROR: Advice(
            fault=Fault.THEIRS,
            is_retryable=True,
            en="The CRM failed inside: look into its own log, or ask its support.",
            ru="Сбой внутри CRM: посмотрите её собственный журнал или обратитесь в её поддержку.",
        ),
        Problem.UNAUTHORIZED: Advice(
            fault=Fault.OURS,
            is_retryable=False,
            en="The CRM does not accept the key or secret, or it lacks a right: compare it with the one in the CRM and load it again.",
            ru="CRM не принимает ключ или секрет, либо у него нет прав: сверьте его с ключом в CRM и загрузите настройки снова.",
        ),
        Problem.NOT_FOUND: Advice(
            fault=Fault.OURS,
            is_retryable=False,
            en="Nothing is at this address of the CRM: correct the address in the settings.",
            ru="По этому адресу в CRM ничего нет: исправьте адрес в настройках.",
        ),
        Problem.REJECTED: Advice(
            fault=Fault.OURS,
            is_retryable=False,
            en="The CRM understood the report and refused it: its answer in integration_logs says why.",
            ru="CRM поняла событие и отклонила его: причина — в её ответе в таблице integration_logs.",
        ),
        Problem.REDIRECT: Advice(
            fault=Fault.OURS,
            is_retryable=False,
            en="The CRM points to another address, which is not followed: put the final address into the settings.",
            ru="CRM отсылает на другой адрес, переход не выполняется: укажите в настройках окончательный адрес.",
        ),
        Problem.BAD_ANSWER: Advice(
            fault=Fault.THEIRS,
            is_retryable=True,
            en="What answers is perhaps not the CRM: check the address and what stands between (proxy, firewall, login page).",
            ru="Возможно, отвечает не CRM: проверьте адрес и то, что стоит на пути (прокси, файрвол, страница входа).",
        ),
        Problem.INTERNAL: Advice(
            fault=Fault.OURS,
            is_retryable=False,
            en="A mistake in the gateway: report it with the lines of logs/app.log of this time.",
            ru="Ошибка в самом шлюзе: сообщите о ней, приложив строки logs/app.log за это время.",
        ),
    }
)


def advice_of(problem: Problem, language: str) -> str:
    """What an administrator can do, one line: Russian for "ru", English for every other language."""
    advice = ADVICE[problem]
    return advice.ru if language == "ru" else advice.en


def failure(
    problem: Problem,
    reason: str,
    *,
    is_ambiguous: bool = False,
    retry_after_seconds: float | None = None,
    request: Mapping[str, Any] | None = None,
    response: Mapping[str, Any] | None = None,
) -> Outcome:
    """The outcome of this problem, by its row. `reason` is one line without secrets."""
    advice = ADVICE[problem]
    return Outcome(
        outcome=OutcomeClass.RETRYABLE if advice.is_retryable else OutcomeClass.PERMANENT,
        problem=problem,
        fault=advice.fault,
        reason=reason,
        advice=advice.en,
        retry_after_seconds=retry_after_seconds if advice.is_retryable else None,
        is_ambiguous=is_ambiguous,
        request=request or {},
        response=response or {},
    )
