"""People of a Bitrix24 portal: its users, and the contacts, companies and leads of its CRM; the methods that list and find them.

Source: the vendor's REST documentation (`user.get`, `crm.*`, `telephony.externalCall.searchCrmEntities`).
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, cast

import attrs

from tester.fakes.bitrix24_wire import Asker, Listing, Method, Params, digits, is_true, page, refusal, whole

MOST_VALUES = 20

_SEPARATORS = str.maketrans("", "", " -()\u00a0")
_MULTI_FIELDS = frozenset(("PHONE",))
_CRM = frozenset(("crm",))
_USERS = frozenset(("user", "user_brief", "user_basic"))


class EntityKind(StrEnum):
    """Who a call can belong to, in the order in which a search names them."""

    CONTACT = "CONTACT"
    COMPANY = "COMPANY"
    LEAD = "LEAD"


@attrs.define(kw_only=True, eq=False)
class B24User:
    """An employee. `extension` is UF_PHONE_INNER."""

    user_id: int
    extension: str = ""
    name: str = ""
    last_name: str = ""
    second_name: str = ""
    email: str = ""
    is_active: bool = True

    @property
    def view(self) -> dict[str, Any]:
        """As `user.get` answers it: the id is text."""
        return {
            "ID": str(self.user_id),
            "ACTIVE": self.is_active,
            "NAME": self.name,
            "LAST_NAME": self.last_name,
            "SECOND_NAME": self.second_name,
            "EMAIL": self.email,
            "UF_DEPARTMENT": [1],
            "UF_PHONE_INNER": self.extension or None,
            "USER_TYPE": "employee",
        }


@attrs.define(kw_only=True, eq=False)
class B24Entity:
    """A contact, a company or a lead. `title`: of companies and leads; the names: of contacts and leads."""

    kind: EntityKind
    entity_id: int
    title: str = ""
    name: str = ""
    last_name: str = ""
    second_name: str = ""
    phones: list[str] = attrs.field(factory=list[str])
    assigned_to: int = 1
    company_id: int = 0

    @property
    def full_name(self) -> str:
        """What a search shows."""
        return self.title if self.kind is EntityKind.COMPANY else f"{self.last_name} {self.name}".strip() or self.title

    @property
    def view(self) -> dict[str, Any]:
        """As its `get` answers it: ids are text."""
        names = {"NAME": self.name, "SECOND_NAME": self.second_name, "LAST_NAME": self.last_name}
        phones = [
            {"ID": str(self.entity_id * 10 + number), "VALUE_TYPE": "WORK", "VALUE": phone, "TYPE_ID": "PHONE"}
            for number, phone in enumerate(self.phones)
        ]
        return {
            "ID": str(self.entity_id),
            **({} if self.kind is EntityKind.CONTACT else {"TITLE": self.title}),
            **({} if self.kind is EntityKind.COMPANY else names),
            **({} if self.kind is EntityKind.COMPANY else {"COMPANY_ID": str(self.company_id) if self.company_id else None}),
            "ASSIGNED_BY_ID": str(self.assigned_to),
            "HAS_PHONE": "Y" if self.phones else "N",
            **({"PHONE": phones} if phones else {}),
        }


class People:
    """Users and CRM entities by id; all ids are numbers of one sequence for each sort."""

    def __init__(self) -> None:
        self.users: dict[int, B24User] = {}
        self.entities: dict[EntityKind, dict[int, B24Entity]] = {kind: {} for kind in EntityKind}

    def add_user(self, extension: str = "", **fields: Any) -> B24User:
        """Somebody is employed (fields of `B24User`)."""
        user = B24User(user_id=len(self.users) + 1, extension=extension, **fields)
        self.users[user.user_id] = user
        return user

    def add(self, kind: EntityKind, *phones: str, **fields: Any) -> B24Entity:
        """A customer is made (fields of `B24Entity`)."""
        entity = B24Entity(kind=kind, entity_id=len(self.entities[kind]) + 1, phones=list(phones), **fields)
        self.entities[kind][entity.entity_id] = entity
        return entity

    def user_at(self, extension: str) -> B24User | None:
        """The active user with this extension."""
        return next((user for user in self.users.values() if extension and user.extension == extension and user.is_active), None)

    def at_number(self, phone: str) -> Iterator[B24Entity]:
        """Whose number this is, contacts first: all digits must be the same."""
        wanted = digits(phone)
        for entities in self.entities.values():
            yield from (each for each in entities.values() if wanted and wanted in {digits(known) for known in each.phones})

    def methods(self) -> dict[str, Method]:
        """By their names in lower case."""
        methods = {
            "user.get": Method(handler=self._get_users, scopes=_USERS),
            "user.current": Method(handler=self._current_user, scopes=_USERS),
            "crm.duplicate.findbycomm": Method(handler=self._find_duplicates, scopes=_CRM),
            "telephony.externalcall.searchcrmentities": Method(handler=self._search, scopes=frozenset(("telephony",))),
        }
        for kind in EntityKind:
            methods[f"crm.{kind.lower()}.list"] = Method(handler=partial(self._list_entities, kind), scopes=_CRM)
            methods[f"crm.{kind.lower()}.get"] = Method(handler=partial(self._get_entity, kind), scopes=_CRM)
        return methods

    def _current_user(self, asker: Asker, _params: Params) -> object:
        user = self.users.get(asker.user_id)
        return {"ID": str(asker.user_id)} if user is None else user.view

    def _get_users(self, _asker: Asker, params: Params) -> Listing:
        conditions = {name: value for name, value in params.items() if name in ("ID", "ACTIVE", "UF_PHONE_INNER", "USER_TYPE", "EMAIL")}
        conditions.update(_conditions(params))
        active = conditions.pop("ACTIVE", None)
        rows = [user.view for user in self.users.values() if active is None or user.is_active is is_true(active, default=True)]
        return page([row for row in rows if _fits(row, conditions)], params)

    def _list_entities(self, kind: EntityKind, _asker: Asker, params: Params) -> Listing:
        conditions = _conditions(params)
        listing = page([row for row in (each.view for each in self.entities[kind].values()) if _fits(row, conditions)], params)
        select = _texts(params.get("select", params.get("SELECT", [])))
        return attrs.evolve(listing, rows=[_selected(row, select) for row in listing.rows])

    def _get_entity(self, kind: EntityKind, _asker: Asker, params: Params) -> object:
        entity = self.entities[kind].get(whole(params.get("id", params.get("ID"))) or 0)
        if entity is None:
            raise refusal("Not found", error="")
        return entity.view

    def _find_duplicates(self, _asker: Asker, params: Params) -> object:
        sort, values = params.get("type"), _texts(params.get("values"))
        if not sort:
            raise refusal("Parameter 'type' is required.", error="Communication type is not defined")
        if sort not in ("PHONE", "EMAIL"):
            raise refusal(f"Communication type '{sort}' is not supported in current context", error="")
        if not values:
            raise refusal("Parameter 'values' is required.", error="Communication values is not defined")
        wanted = {value.translate(_SEPARATORS) for value in values[:MOST_VALUES]} if sort == "PHONE" else set[str]()
        kinds = [params["entity_type"]] if params.get("entity_type") else list(EntityKind)
        found = {
            kind: [
                each.entity_id
                for each in self.entities[EntityKind(kind)].values()
                if wanted & {phone.translate(_SEPARATORS) for phone in each.phones}
            ]
            for kind in kinds
            if kind in tuple(EntityKind)
        }
        # Nothing found is an empty array of PHP, and that is a list.
        return {kind: ids for kind, ids in found.items() if ids} or []

    def _search(self, _asker: Asker, params: Params) -> object:
        phone = str(params.get("PHONE_NUMBER") or "")
        if not phone:
            raise refusal("PHONE_NUMBER is empty")
        return [
            {
                "CRM_ENTITY_TYPE": each.kind.value,
                "CRM_ENTITY_ID": each.entity_id,
                "ASSIGNED_BY_ID": each.assigned_to,
                "NAME": each.full_name,
                "ASSIGNED_BY": self._assigned(each.assigned_to),
            }
            for each in self.at_number(phone)
        ]

    def _assigned(self, user_id: int) -> dict[str, Any]:
        user = self.users.get(user_id)
        return {
            "ID": str(user_id),
            "TIMEMAN_STATUS": "OPENED",
            "USER_PHONE_INNER": (user.extension or None) if user is not None else None,
            "WORK_PHONE": None,
            "PERSONAL_PHONE": None,
            "PERSONAL_MOBILE": None,
        }


def _conditions(params: Params) -> dict[str, Any]:
    conditions: Any = params.get("filter", params.get("FILTER"))
    return dict(cast("Mapping[str, Any]", conditions)) if isinstance(conditions, Mapping) else {}


def _fits(row: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """`NAME`, `=NAME`, `@NAME` ask for one of the values, `!NAME` for none of them, `%NAME` for a part. Phones must be the same text."""
    for key, value in conditions.items():
        field = key.lstrip("=@!%")
        sign, wanted = key[: len(key) - len(field)], _texts(value)
        held = _held(row.get(field))
        parts = wanted if "%" in sign else []
        is_part = any(part.casefold() in text.casefold() for part in parts for text in held)
        if (is_part or (not parts and bool(set(wanted) & set(held)))) is ("!" in sign):
            return False
    return True


def _held(value: object) -> list[str]:
    if isinstance(value, list):
        return [_value(member) for member in cast("list[object]", value)]
    return ["" if value is None else str(value)]


def _value(member: object) -> str:
    return str(cast("Mapping[str, object]", member).get("VALUE") if isinstance(member, Mapping) else member)


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(member) for member in cast("list[object]", value)]
    return [] if value is None else [str(value)]


def _selected(row: dict[str, Any], select: Sequence[str]) -> dict[str, Any]:
    """Without a selection, and with `*`, all fields but the multiple ones."""
    names = [name for name in row if name not in _MULTI_FIELDS] if not select or "*" in select else ["ID"]
    return {name: value for name, value in row.items() if name in names or name in select}
