"""What an account of МойСклад holds besides calls: its keys, employees, counterparties with their contact persons."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import attrs

from tester.fakes.ms_calls import MsCall
from tester.fakes.ms_wire import bad_link, linked_id, meta

# A demo may run for days; nobody asks for so old a call.
KEPT_CALLS = 20_000
COMPANY_TYPES = ("legal", "entrepreneur", "individual")


@attrs.define(kw_only=True, eq=False)
class MsEmployee:
    """A user. `extension` is what the Phone API spells `extention`."""

    employee_id: str
    extension: str = ""
    last_name: str = ""
    first_name: str = ""
    middle_name: str = ""
    email: str = ""
    phone: str = ""

    @property
    def view(self) -> dict[str, Any]:
        """As the JSON API answers it, without what is empty."""
        initials = " ".join(f"{name[0]}." for name in (self.first_name, self.middle_name) if name)
        full_name = " ".join(filter(None, (self.last_name, self.first_name, self.middle_name)))
        return _filled(
            meta=meta("employee", self.employee_id),
            id=self.employee_id,
            name=f"{self.last_name} {initials}".strip(),
            lastName=self.last_name,
            firstName=self.first_name,
            middleName=self.middle_name,
            fullName=full_name,
            email=self.email,
            phone=self.phone,
        )


@attrs.define(kw_only=True, eq=False)
class MsContactPerson:
    """A person of a counterparty."""

    person_id: str
    name: str
    phone: str = ""
    email: str = ""
    position: str = ""

    def view(self, counterparty_id: str) -> dict[str, Any]:
        """As it is answered, without what is empty."""
        link = meta("contactperson", self.person_id)
        link["href"] = f"{meta('counterparty', counterparty_id)['href']}/contactpersons/{self.person_id}"
        return _filled(meta=link, id=self.person_id, name=self.name, phone=self.phone, email=self.email, position=self.position)


@attrs.define(kw_only=True, eq=False)
class MsCounterparty:
    """A customer. `fields`: all else that it has, by the names of the JSON API (`legalLastName`, `attributes`, `description`)."""

    counterparty_id: str
    name: str
    phone: str = ""
    email: str = ""
    company_type: str = "legal"
    owner_id: str = ""
    tags: list[str] = attrs.field(factory=list[str])
    persons: list[MsContactPerson] = attrs.field(factory=list[MsContactPerson])
    fields: dict[str, Any] = attrs.field(factory=dict[str, Any])

    @property
    def view(self) -> dict[str, Any]:
        """As it is answered, without what is empty."""
        href = f"{meta('counterparty', self.counterparty_id)['href']}/contactpersons"
        persons = {
            "href": href,
            "type": "contactperson",
            "mediaType": "application/json",
            "size": len(self.persons),
            "limit": 1000,
            "offset": 0,
        }
        return _filled(
            **self.fields,
            meta=meta("counterparty", self.counterparty_id),
            id=self.counterparty_id,
            owner={"meta": meta("employee", self.owner_id)} if self.owner_id else None,
            name=self.name,
            companyType=self.company_type,
            phone=self.phone,
            email=self.email,
            tags=self.tags,
            contactpersons={"meta": persons},
        )

    def mentions(self, text: str) -> bool:
        """Whether `search` finds it: any text of it or of its contact persons has this in it, in any case."""
        texts = [self.name, self.phone, self.email, *(str(value) for value in self.fields.values())]
        for person in self.persons:
            texts += [person.name, person.phone, person.email]
        return any(text.casefold() in each.casefold() for each in texts)


class MsAccount:
    """One account: what its Phone API key and its tokens give access to.

    `tokens`: each with the weight of its requests (solutions 1, persons up to 4). Not `has_phone_solution`: the telephony solution was
    removed from the account. `calls` by id, in the order of creation, the last `KEPT_CALLS`; `call` finds one by the caller's own id.
    """

    def __init__(self, name: str, phone_key: str, tokens: Mapping[str, float]) -> None:
        self.account_id = str(uuid5(NAMESPACE_URL, name))
        self.phone_key = phone_key
        self.tokens = dict(tokens)
        self.has_phone_solution = True
        self.employees: dict[str, MsEmployee] = {}
        self.counterparties: dict[str, MsCounterparty] = {}
        self.calls: dict[str, MsCall] = {}
        self._call_ids: dict[str, str] = {}
        self._last_number = 0

    def new_id(self) -> str:
        """An id that is not taken, the same in each run."""
        self._last_number += 1
        return str(uuid5(NAMESPACE_URL, f"{self.account_id}/{self._last_number}"))

    def add_employee(self, extension: str = "", **fields: str) -> MsEmployee:
        """Somebody is employed (fields of `MsEmployee`)."""
        employee = MsEmployee(employee_id=self.new_id(), extension=extension, **fields)
        self.employees[employee.employee_id] = employee
        return employee

    def add_counterparty(self, name: str, phone: str = "", *, owner: MsEmployee | None = None, **fields: Any) -> MsCounterparty:
        """A customer is made (fields of `MsCounterparty`)."""
        counterparty = MsCounterparty(
            counterparty_id=self.new_id(), name=name, phone=phone, owner_id=owner.employee_id if owner is not None else "", **fields
        )
        self.counterparties[counterparty.counterparty_id] = counterparty
        return counterparty

    def add_person(self, counterparty: MsCounterparty, name: str, phone: str = "", **fields: str) -> MsContactPerson:
        """A counterparty gets a contact person (fields of `MsContactPerson`)."""
        person = MsContactPerson(person_id=self.new_id(), name=name, phone=phone, **fields)
        counterparty.persons.append(person)
        return person

    def call(self, external_id: str) -> MsCall:
        """The call that the gateway knows by this id. Raises `KeyError`."""
        return self.calls[self._call_ids[external_id]]

    def has_call(self, external_id: str) -> bool:
        """Whether this id is taken."""
        return external_id in self._call_ids

    def add_call(self, call: MsCall) -> None:
        """A call is made; its id is given to it here."""
        call.call_id = self.new_id()
        self.calls[call.call_id] = call
        self._call_ids[call.external_id] = call.call_id
        if len(self.calls) > KEPT_CALLS:
            oldest = self.calls.pop(next(iter(self.calls)))
            del self._call_ids[oldest.external_id]

    def linked_employee(self, link: object) -> MsEmployee:
        """The employee that a link names."""
        employee = self.employees.get(linked_id(link, "employee"))
        if employee is None:
            raise bad_link("employee")
        return employee

    def linked_counterparty(self, link: object) -> MsCounterparty:
        """The counterparty that a link names."""
        counterparty = self.counterparties.get(linked_id(link, "counterparty"))
        if counterparty is None:
            raise bad_link("counterparty")
        return counterparty

    def employee_at(self, extension: str) -> MsEmployee | None:
        """Who has this extension."""
        return next((each for each in self.employees.values() if extension and each.extension == extension), None)

    def counterparty_at(self, number: str) -> MsCounterparty | None:
        """Whose number this is: all digits must be the same, of the counterparty or of one of its persons."""
        for each in self.counterparties.values():
            if _is_of(number, [each.phone, *(person.phone for person in each.persons)]):
                return each
        return None


def _is_of(number: str, phones: Sequence[str]) -> bool:
    digits = _digits(number)
    return bool(digits) and digits in {_digits(phone) for phone in phones}


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None, [])}
