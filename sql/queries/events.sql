-- The log of events.

-- name: append_events
-- One commit for the whole batch; ids rise in the order of the batch, which is also the order of the rows returned.
-- Returns fewer rows than events when some were stored before: `first_events` finds those.
-- Locks: inserted rows only; a concurrent insert of the same key is waited for. Index: call_events_once decides on conflicts.
insert into call_events (enterprise_number, event_type, unique_id, raw_data, body_hash, event_timestamp, data_source)
select e.enterprise_number, e.event_type, e.unique_id, e.raw_data::json, e.body_hash, e.event_timestamp, e.data_source
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::timestamptz[], $7::text[])
    with ordinality as e (enterprise_number, event_type, unique_id, raw_data, body_hash, event_timestamp, data_source, position)
order by e.position
on conflict (enterprise_number, unique_id, event_type, body_hash) where event_type in ('start', 'dial', 'hangup') do nothing
returning id

-- name: first_events
-- The stored event of each key (position counts from 1). Only rare: some host repeated itself.
-- Locks: none. Index: call_events_once (LIMIT: see commit_step).
select e.position, c.id
from (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) with ordinality limit cardinality($1::text[])
) as e (enterprise_number, event_type, unique_id, body_hash, position)
join call_events c on c.enterprise_number = e.enterprise_number and c.unique_id = e.unique_id
    and c.event_type = e.event_type and c.body_hash = e.body_hash and c.event_type in ('start', 'dial', 'hangup')

-- name: unprocessed_events
-- Locks: none. Index: call_events_unprocessed, in its order.
select id, enterprise_number, event_type, unique_id, raw_data::text as raw_data, event_timestamp, data_source, call_id
from call_events
where enterprise_number = $1::text and not processed and id > $2::bigint
order by id
limit $3::bigint

-- name: enterprises_with_work
-- Locks: none. Indexes: live_calls_pkey and call_events_unprocessed, both small: open calls, and what lies between journal and lane.
select enterprise_number from (
    select enterprise_number from live_calls
    union
    select enterprise_number from call_events where not processed
) as w
order by enterprise_number collate "C"

-- name: reject_event
-- Keeps the newest rows only ($6 of them; ids rise by one).
-- Locks: the inserted row and the deleted ones. Index: rejected_events_pkey.
with added as (
    insert into rejected_events (event_type, token, raw_body, reason, received_at)
    values ($1::text, $2::text, $3::text, $4::text, $5::timestamptz)
    returning id
)
delete from rejected_events r using added where r.id <= added.id - $6::bigint
