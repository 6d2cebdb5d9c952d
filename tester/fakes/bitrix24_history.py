"""The history of calls of a Bitrix24 portal: those that are finished. Source: the vendor's documentation of `voximplant.statistic.get`."""

from collections.abc import Mapping
from typing import Any, cast

from tester.fakes.bitrix24_calls import B24Call, Telephony
from tester.fakes.bitrix24_wire import Asker, B24Error, B24Refusal, Listing, Method, Params, digits, page

ACCESS_DENIED = B24Error(403, "ACCESS_DENIED", "Access denied!")


class History:
    """What `voximplant.statistic.get` shows. `is_visible`: whether those who ask may see it."""

    def __init__(self, telephony: Telephony) -> None:
        self.is_visible = True
        self._telephony = telephony

    def methods(self) -> dict[str, Method]:
        """By their names in lower case."""
        return {"voximplant.statistic.get": Method(handler=self._get, scopes=frozenset(("telephony",)))}

    def _get(self, _asker: Asker, params: Params) -> Listing:
        if not self.is_visible:
            raise B24Refusal(ACCESS_DENIED)
        given: Any = params.get("FILTER")
        conditions = {str(key).lstrip("="): value for key, value in cast("Mapping[str, Any]", given or {}).items()}
        rows = [_row(call) for call in self._telephony.calls.values() if call.is_finished]
        found = [row for row in rows if all(_is(row.get(key), wanted) for key, wanted in conditions.items())]
        found.sort(key=lambda row: int(row["ID"]), reverse=params.get("ORDER") == "DESC")
        return page(found, params)


def _is(held: object, wanted: object) -> bool:
    members = cast("list[object]", wanted) if isinstance(wanted, list) else [wanted]
    return str(held) in map(str, members)


def _row(call: B24Call) -> dict[str, Any]:
    kind, entity_id = call.entity or (None, None)
    return {
        "ID": str(call.statistic_id),
        "PORTAL_USER_ID": str(call.user_id),
        "PORTAL_NUMBER": call.line,
        "PHONE_NUMBER": digits(call.phone),
        "CALL_ID": call.call_id,
        "EXTERNAL_CALL_ID": call.external_call_id or None,
        "CALL_CATEGORY": "external",
        "CALL_DURATION": str(call.duration_seconds),
        "CALL_START_DATE": call.started_at.isoformat(timespec="seconds"),
        "CALL_RECORD_URL": call.record.url if call.record is not None else None,
        "CALL_VOTE": None,
        "CALL_FAILED_CODE": call.status_code,
        "CALL_FAILED_REASON": call.failed_reason,
        "CRM_ENTITY_TYPE": kind,
        "CRM_ENTITY_ID": None if entity_id is None else str(entity_id),
        "CRM_ACTIVITY_ID": None if call.activity is None else str(call.activity.activity_id),
        "RECORD_FILE_ID": None if call.record is None else call.record.file_id,
        "CALL_TYPE": str(int(call.kind)),
    }
