-- Calls: what the lane writes and what a restart reads.

-- name: commit_step
-- What every step writes, in one statement: outcomes, opened, released. Most steps write nothing else.
-- LIMIT cuts nothing off: it makes the planner expect one row instead of ten and take the primary key event by event. Otherwise a plan made
-- on a young table reads the whole table, and stays while the table grows (measured: 20 ms a step after a minute). For the same reason
-- the enterprise comes through the join: as a condition of its own it would promise one row of the whole table.
-- The parts see one snapshot, so the caller takes what is opened and released in one step out of `opened`.
-- Locks: rows of the events and of `live_calls` named; one lane writes one enterprise, so nobody waits here but for `record_shown`, which
-- marks events of the same call. Indexes: call_events_pkey, live_calls_pkey.
with understood as (
    update call_events e
    set processed = true, call_id = o.call_id, telegram_sent = e.telegram_sent or o.shown, error = o.error
    from (
        select $1::text, u.* from unnest($2::bigint[], $3::bigint[], $4::boolean[], $5::text[]) as u limit cardinality($2::bigint[])
    ) as o (enterprise_number, event_id, call_id, shown, error)
    where e.id = o.event_id and e.enterprise_number = o.enterprise_number
), opened as (
    insert into live_calls (enterprise_number, call_id)
    select $1::text, o.call_id from unnest($6::bigint[]) as o (call_id)
    on conflict do nothing
)
delete from live_calls l
where l.enterprise_number = $1::text and l.call_id = any($7::bigint[])

-- name: record_calls
-- Finished calls, new or corrected ($2, a JSON array of rows); the first uuid stays. The counts of their customers follow by trigger.
-- Locks: rows of `calls` named, then their customers (see name_customer). Indexes: calls_pkey, calls_customer, customers_pkey.
insert into calls (
    enterprise_number, call_id, uuid, unique_id, phone, extension, call_type, call_status, date_received, date_end, duration,
    trunk, talk_seconds, transfers, closed_by, data_source
)
select $1::text, r.call_id, coalesce(r.uuid, gen_random_uuid()), r.unique_id, r.phone, r.extension, r.call_type, r.call_status,
    r.date_received, r.date_end, r.duration, r.trunk, r.talk_seconds, r.transfers, r.closed_by, r.data_source
from json_to_recordset($2::json) as r (
    call_id bigint, uuid uuid, unique_id text, phone text, extension text, call_type smallint, call_status smallint,
    date_received timestamptz, date_end timestamptz, duration bigint, trunk text, talk_seconds bigint, transfers text,
    closed_by text, data_source text
)
on conflict (enterprise_number, call_id) do update set
    unique_id = excluded.unique_id, phone = excluded.phone, extension = excluded.extension, call_type = excluded.call_type,
    call_status = excluded.call_status, date_received = excluded.date_received, date_end = excluded.date_end,
    duration = excluded.duration, trunk = excluded.trunk, talk_seconds = excluded.talk_seconds, transfers = excluded.transfers,
    closed_by = excluded.closed_by, data_source = excluded.data_source

-- name: merge_events
-- The events of absorbed calls go to their survivors.
-- Locks: rows of those events. Index: call_events_call, by the list of ids.
update call_events e
set call_id = m.survivor
from unnest($2::bigint[], $3::bigint[]) as m (absorbed, survivor)
where e.enterprise_number = $1::text and e.call_id = any($2::bigint[]) and e.call_id = m.absorbed

-- name: merge_records
-- A finished record whose survivor has none yet becomes the survivor's, with the uuid of its recording link (of several the oldest).
-- Locks: the rows moved. Index: calls_pkey.
update calls c
set call_id = moved.survivor
from (
    select distinct on (m.survivor) m.absorbed, m.survivor
    from unnest($2::bigint[], $3::bigint[]) as m (absorbed, survivor)
    join calls a on a.enterprise_number = $1::text and a.call_id = any($2::bigint[]) and a.call_id = m.absorbed
    where not exists (select from calls s where s.enterprise_number = $1::text and s.call_id = m.survivor)
    order by m.survivor, m.absorbed
) as moved
where c.enterprise_number = $1::text and c.call_id = any($2::bigint[]) and c.call_id = moved.absorbed

-- name: forget_absorbed
-- What is left of absorbed calls. Their messages stay known until they are deleted from the chats.
-- Locks: the rows deleted. Indexes: live_calls_pkey, calls_pkey.
with forgotten as (
    delete from live_calls l where l.enterprise_number = $1::text and l.call_id = any($2::bigint[])
)
delete from calls c where c.enterprise_number = $1::text and c.call_id = any($2::bigint[])

-- name: live_events
-- What a restart replays: the understood events of all calls that lived in memory.
-- Locks: none. Indexes: live_calls_pkey, then call_events_call for each live call.
select e.id, e.enterprise_number, e.event_type, e.unique_id, e.raw_data::text as raw_data, e.event_timestamp, e.data_source, e.call_id
from live_calls l
join call_events e on e.enterprise_number = l.enterprise_number and e.call_id = l.call_id
where l.enterprise_number = $1::text and e.processed
order by e.id

-- name: call_id_of
-- Locks: none. Indexes: call_events_once and call_events_channel; the conditions repeat their predicates, which the planner wants to see.
select max(e.call_id) from (
    select call_id from call_events
    where enterprise_number = $1::text and unique_id = $2::text and event_type in ('start', 'dial', 'hangup')
    union all
    select call_id from call_events
    where enterprise_number = $1::text and unique_id = $2::text and event_type not in ('start', 'dial', 'hangup') and unique_id <> ''
) as e
where $2::text <> ''

-- name: events_of_call
-- Locks: none. Index: call_events_call.
select id, enterprise_number, event_type, unique_id, raw_data::text as raw_data, event_timestamp, data_source, call_id
from call_events
where enterprise_number = $1::text and call_id = $2::bigint
order by id

-- name: newest_calls
-- Locks: none. Index: calls_newest, in its order.
select call_id, uuid::text as uuid, unique_id, phone, extension, call_type, call_status, date_received, date_end, duration, trunk,
    talk_seconds, transfers, closed_by, data_source
from calls
where enterprise_number = $1::text
order by date_received desc, call_id desc
limit $2::bigint
