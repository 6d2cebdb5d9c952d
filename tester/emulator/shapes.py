"""What the API tells, as JSON: enterprises, patterns, targets, plans and runs. Pure. Tokens are masked but for their last four digits."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from gateway.crm.base import CrmKind
from gateway.ports import EnterpriseConfig, LineConfig, ManagerConfig
from gateway.web.metadata_shapes import line_name, operator_of
from tester.emulator.emulator import Target
from tester.emulator.event_log import masked_body
from tester.emulator.orders import LOCAL, Faults, Order, TelegramTrouble, Verdict
from tester.emulator.plan import Plan
from tester.emulator.run import Run
from tester.patterns.pattern import Pattern, Role

_THIS_GATEWAY: Final = MappingProxyType({"ru": "этот шлюз", "en": "this gateway"})
_ELSEWHERE: Final = MappingProxyType(
    {"ru": "только для этого шлюза: в чужой отсюда не вмешаться", "en": "this gateway only: others are out of reach"}
)
_REAL_TELEGRAM: Final = MappingProxyType(
    {
        "ru": "только с Telegram на этой же машине (telegram_base_url): настоящий подписчик остался бы без сообщений о звонках",
        "en": "only with a Telegram on this machine (telegram_base_url): a real subscriber would miss the messages of real calls",
    }
)


def enterprise_shape(config: EnterpriseConfig) -> dict[str, Any]:
    """An enterprise of the list."""
    return {
        "number": config.number,
        "name": config.name,
        "has_token": bool(config.token),
        "language": config.language,
        "subscribers": len(config.subscribers),
        "crms": [kind.value for kind in CrmKind if _is_enabled(config.integrations.get(kind))],
    }


def _is_enabled(table: object) -> bool:
    return isinstance(table, Mapping) and table.get("enabled") is True  # pyright: ignore[reportUnknownMemberType]


def manager_shape(manager: ManagerConfig) -> dict[str, Any]:
    """A manager, in the guide's keys; follow-me belongs to the host and is not known here."""
    name = " ".join(part for part in (manager.first_name, manager.last_name) if part)
    return {
        "name": f"{manager.extension} - {name}" if name else manager.extension,
        "clean_name": name,
        "personal_phone": manager.personal_phone,
        "follow_me_number": "",
        "follow_me_enabled": False,
    }


def line_shape(line: LineConfig) -> dict[str, Any]:
    """A line, in the guide's keys."""
    return {"name": line_name(line), "operator": operator_of(line)}


def target_shape(target: Target, language: str, *, can_block: bool) -> dict[str, Any]:
    """Where a call can be played, and what can be broken there. `can_block`: whether Telegram is one on this machine."""
    why_not: dict[str, str] = {}
    telegram = [trouble.value for trouble in TelegramTrouble]
    if not target.is_local:
        why_not = dict.fromkeys((*telegram, "crm"), _ELSEWHERE[language])
    elif not can_block:
        why_not = {TelegramTrouble.BLOCKED.value: _REAL_TELEGRAM[language]}
    return {
        "address": target.address,
        "name": f"{_THIS_GATEWAY[language]} ({target.url})" if target.address == LOCAL else target.url,
        "is_local": target.is_local,
        "troubles": {"telegram": [trouble for trouble in telegram if trouble not in why_not], "crm": "crm" not in why_not},
        "why_not": why_not,
    }


def pattern_shape(pattern: Pattern, language: str) -> dict[str, Any]:
    """A pattern with its roles, in one language."""
    return {
        "key": pattern.key,
        "title": pattern.title[language],
        "description": pattern.description[language],
        "group": pattern.group.value,
        "roles": [_role_shape(role, language) for role in pattern.roles],
    }


def _role_shape(role: Role, language: str) -> dict[str, Any]:
    return {
        "key": role.key,
        "kind": role.kind.value,
        "title": role.title[language],
        "is_optional": role.is_optional,
        "default": role.default,
    }


def plan_shape(plan: Plan, language: str) -> dict[str, Any]:
    """What will be posted, who does what, and what the chat will show. `language`: of what is said of it; the chat has its own."""
    return {
        "events": [
            {
                "index": event.index,
                "at_seconds": event.posted.at_seconds,
                "kind": event.posted.kind,
                "unique_id": event.unique_id,
                "summary": event.summary(language),
                "body": masked_body(event.posted.body),
                "trouble": event.trouble,
            }
            for event in plan.events
        ],
        "acts": [{"at_seconds": act.at_seconds, "kind": act.kind.value, "source": act.source, "target": act.target} for act in plan.acts],
        "people": [{"number": one.number, "label": one.label, "kind": one.kind} for one in plan.people],
        "seconds": plan.seconds,
        "finals": [list(final.lines(plan.language)) for final in plan.finals],
        "messages": [
            {
                "after_index": one.after_index,
                "at_seconds": one.at_seconds,
                "late_seconds": one.late_seconds,
                "call": one.call,
                "text": one.text,
            }
            for one in plan.messages
        ],
    }


def run_shape(run: Run, language: str) -> dict[str, Any]:
    """A run with its plan, told in one language."""
    verdict = run.verdict_in(language)
    return {
        "id": run.id,
        "order": order_shape(run.order),
        "state": run.state.value,
        "posted": run.posted_items,
        "total": len(run.plan.events),
        "verdict": None if verdict is None else verdict_shape(verdict),
        **plan_shape(run.plan, language),
    }


def runs_shape(runs: Sequence[Run], language: str) -> list[dict[str, Any]]:
    """All of them."""
    return [run_shape(run, language) for run in runs]


def verdict_shape(verdict: Verdict) -> dict[str, Any]:
    """How a run ended."""
    return {"judgement": verdict.judgement.value, "differences": list(verdict.differences)}


def order_shape(order: Order) -> dict[str, Any]:
    """An order as it can be given again."""
    return {
        "enterprise": order.enterprise,
        "pattern": order.pattern,
        "values": dict(order.values),
        "faults": _faults_shape(order.faults),
        "pace": order.pace.value,
        "target": order.target,
        "linkedid": order.linkedid,
    }


def _faults_shape(faults: Faults) -> dict[str, Any]:
    return {
        "events": [{"index": one.index, "trouble": one.trouble.value, "seconds": one.seconds} for one in faults.events],
        "telegram": None if faults.telegram is None else faults.telegram.value,
        "crm_hangs": faults.crm_hangs,
    }
