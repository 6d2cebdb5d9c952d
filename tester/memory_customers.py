"""The part of the store in memory that knows finished calls and the customers they are counted for."""

from collections.abc import Callable
from datetime import UTC, datetime

import attrs

from gateway.calls.record import CallRecord
from gateway.ports import Customer, NamedCustomer
from sql import crm_rows
from sql.crm_rows import Naming, customer_phone
from sql.texts import clean_key
from tester.memory_subscribers import MemorySubscribers, utc_now

_DIRECTIONS = {0: "in", 1: "out"}
_ANSWERED = 2


@attrs.define(kw_only=True)
class _CustomerRow:
    """A row of `customers`, but for its key and what the calls say."""

    last_name: str = ""
    first_name: str = ""
    middle_name: str = ""
    enterprise_name: str = ""
    name_source: str = ""
    external_id: str = ""
    is_company: bool = False
    named_at: datetime | None = None
    person_uid: str = ""
    ids: dict[str, list[str]] = attrs.field(factory=dict[str, list[str]])

    @property
    def nameless(self) -> bool:
        """Whether any names may go here."""
        return not (self.last_name or self.first_name or self.middle_name or self.enterprise_name)

    @property
    def by_hand(self) -> bool:
        """Whether the names are nobody's but a person's with psql."""
        return not self.nameless and not self.name_source

    def takes(self, wanted: Naming) -> bool:
        """Whether the names replace those that are here."""
        if self.nameless:
            return True
        newer = self.named_at is None or self.named_at <= wanted.at
        same = self.name_source == wanted.source
        return not same or newer if wanted.is_primary else same and newer and wanted.source != ""

    def name(self, wanted: Naming) -> None:
        """Names, source and id as wanted, and to whom the number belongs."""
        self.last_name, self.first_name, self.middle_name = wanted.last_name, wanted.first_name, wanted.middle_name
        self.enterprise_name, self.name_source = wanted.enterprise_name, wanted.source
        self.external_id, self.is_company, self.named_at = wanted.external_id, wanted.is_company, wanted.at
        self.person_uid = wanted.person_uid or self.person_uid
        self.note_id(wanted)

    def note_id(self, wanted: Naming) -> None:
        """The id under which the source knows the number, the newest last."""
        if wanted.id_key:
            others = [one for one in self.ids.get(wanted.id_key, []) if one != wanted.external_id]
            self.ids[wanted.id_key] = [*others, wanted.external_id]

    def unlink(self, wanted: Naming) -> None:
        """The number is not this person's any more."""
        self.person_uid = ""
        self.ids.pop(wanted.id_key, None)

    @property
    def content(self) -> tuple[object, ...]:
        """What makes a change worth counting."""
        return (
            (self.last_name, self.first_name, self.middle_name, self.enterprise_name, self.name_source, self.external_id),
            (self.is_company, self.person_uid, {key: tuple(ids) for key, ids in self.ids.items()}),
        )


class MemoryCustomers(MemorySubscribers):
    """Finished calls by enterprise and call; customers by enterprise and number. Counts are made of the calls when they are asked for."""

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(now=now)
        self._records: dict[tuple[str, int], CallRecord] = {}
        self._calls_of: dict[tuple[str, str], set[int]] = {}
        self._customers: dict[tuple[str, str], _CustomerRow] = {}

    # looking in

    def person_of(self, enterprise_number: str, phone: str) -> str:
        """`customers.meta->>'person_uid'`, "" when there is none."""
        return self._customers[enterprise_number, phone].person_uid

    def ids_of(self, enterprise_number: str, phone: str) -> dict[str, list[str]]:
        """`customers.meta->'ids'`"""
        return self._customers[enterprise_number, phone].ids

    # finished calls

    def _put_record(self, number: str, record: CallRecord) -> None:
        self._take_record(number, record.call_id)
        self._records[number, record.call_id] = record
        if record.call_type not in _DIRECTIONS or not (phone := customer_phone(record.phone)):
            return
        self._calls_of.setdefault((number, phone), set()).add(record.call_id)
        self._customers.setdefault((number, phone), _CustomerRow())

    def _take_record(self, number: str, call_id: int) -> CallRecord | None:
        record = self._records.pop((number, call_id), None)
        if record is not None:
            self._calls_of.get((number, record.phone), set()).discard(call_id)
        return record

    # customers

    async def customer(self, enterprise_number: str, phone: str) -> Customer | None:
        """By digits."""
        await self._entered()
        number = clean_key(enterprise_number)
        row = self._customers.get((number, phone))
        return self._answered(self._customer(number, phone, row) if row else None)

    def _customer(self, number: str, phone: str, row: _CustomerRow) -> Customer:
        columns = attrs.asdict(row)
        calls = sorted(
            (self._records[number, call_id] for call_id in self._calls_of.get((number, phone), ())),
            key=lambda record: (record.date_received, record.call_id),
        )
        for word, counted in (("total", calls), ("answered", _answered(calls)), ("missed", _missed(calls))):
            for call_type, direction in _DIRECTIONS.items():
                columns[f"calls_{word}_{direction}"] = sum(record.call_type == call_type for record in counted)
        last = calls[-1] if calls else None
        linked = self._numbers_of(number, row.person_uid) if row.person_uid else [phone]
        columns.update(
            enterprise_number=number,
            phone_e164=crm_rows.e164(phone),
            phones=[crm_rows.e164(other) for other in sorted(linked)],
            first_seen_at=calls[0].date_received if calls else None,
            last_seen_at=max((_ended_at(record) for record in calls), default=None),
            last_call_at=_ended_at(last) if last else None,
            last_call_direction=_DIRECTIONS[last.call_type] if last else "unknown",
            last_call_status=("answered" if last.call_status == _ANSWERED else "missed") if last else "unknown",
            last_success_at=max((_ended_at(record) for record in _answered(calls)), default=None),
            last_agent_internal=last.extension.split(",")[0].strip() if last else "",
            last_line=last.trunk if last else "",
        )
        return crm_rows.customer(columns)

    async def name_customer(self, enterprise_number: str, named: NamedCustomer) -> int:
        """How many rows changed."""
        await self._entered()
        return self._answered(self._name(clean_key(enterprise_number), named))

    def _name(self, number: str, named: NamedCustomer) -> int:
        wanted = crm_rows.naming(named)
        if wanted is None:
            return 0
        wanted = attrs.evolve(wanted, at=wanted.at.astimezone(UTC))
        is_new = (number, wanted.phone) not in self._customers
        concerned = {*wanted.phones, *self._numbers_of(number, wanted.person_uid)} if wanted.person_uid else set[str]()
        rows = {phone: row for phone in (wanted.phone, *concerned) if (row := self._customers.get((number, phone)))}
        before = {phone: row.content for phone, row in rows.items()}
        row = rows[wanted.phone] = self._customers.setdefault((number, wanted.phone), _CustomerRow())
        if row.takes(wanted):
            row.name(wanted)
            if wanted.person_uid:
                self._link(rows, wanted)
        else:
            row.note_id(wanted)
        return is_new + sum(row.content != before[phone] for phone, row in rows.items() if phone in before)

    def _numbers_of(self, number: str, person_uid: str) -> list[str]:
        return [phone for (owner, phone), row in self._customers.items() if (owner, row.person_uid) == (number, person_uid)]

    def _link(self, rows: dict[str, _CustomerRow], wanted: Naming) -> None:
        for phone, row in rows.items():
            if phone in wanted.phones:
                if row.takes(wanted) and (phone == wanted.phone or not row.by_hand):
                    row.name(wanted)
            elif phone != wanted.phone and wanted.knows_phones and row.person_uid == wanted.person_uid:
                row.unlink(wanted)


def _answered(calls: list[CallRecord]) -> list[CallRecord]:
    return [record for record in calls if record.call_status == _ANSWERED]


def _missed(calls: list[CallRecord]) -> list[CallRecord]:
    return [record for record in calls if record.call_status != _ANSWERED]


def _ended_at(record: CallRecord) -> datetime:
    return record.date_end or record.date_received
