-- Recordings that become known after the end of a call.

-- name: recorded_call
-- The call that is meant, and the link that `calls` has of it ("" for none): the call $2, or, when that is 0, the newest that knows the UniqueId $3,
-- in the log, among the finished calls, or among what is owed.
-- Locks: none. Indexes: call_events_once, call_events_channel, calls_unique_id, crm_outbox_unique_id; calls_pkey.
select k.call_id, coalesce(c.record_url, '') as record_url
from (
    select coalesce(
        nullif($2::bigint, 0),
        (select max(e.call_id) from (
            select e.call_id from call_events e
            where e.enterprise_number = $1::text and e.unique_id = $3::text and e.event_type in ('start', 'dial', 'hangup')
            union all
            select e.call_id from call_events e
            where e.enterprise_number = $1::text and e.unique_id = $3::text
                and e.event_type not in ('start', 'dial', 'hangup') and e.unique_id <> ''
        ) as e where $3::text <> ''),
        (select max(f.call_id) from calls f where f.enterprise_number = $1::text and f.unique_id = $3::text and $3::text <> ''),
        (select max(o.call_id) from crm_outbox o where o.enterprise_number = $1::text and o.unique_id = $3::text and o.unique_id <> '')
    ) as call_id
) as k
left join calls c on c.enterprise_number = $1::text and c.call_id = k.call_id
where k.call_id is not null

-- name: record_url
-- The link of a finished call; tells `gateway_recordings` when it is news.
-- Locks: the row. Index: calls_pkey.
update calls c set record_url = $3::text
where c.enterprise_number = $1::text and c.call_id = $2::bigint and c.record_url is distinct from $3::text

-- name: owe_recording
-- Each CRM that was, or is to be, told of the end of the call $2 gets the link $3, once. The report of the end takes it where the CRM cannot
-- have that yet: not done, and no try of it may have been carried out (gateway.crm.base.maybe_done_mark). Otherwise it is a report of its own;
-- one that is pending takes the newer link. Returns the keys of what has changed.
-- Locks: the rows of the call. Index: crm_outbox_pkey.
with ended as materialized (
    select o.crm, o.unique_id, o.report, o.state <> 'done' and o.memory -> 'maybe_done_hangup' is distinct from 'true' as is_untold
    from crm_outbox o
    where o.enterprise_number = $1::text and o.call_id = $2::bigint and o.kind = 'hangup'
        and jsonb_typeof(o.report) = 'object' and coalesce(o.report ->> 'recording_url', '') <> $3::text
    for update
), taken as (
    update crm_outbox o set report = o.report || jsonb_build_object('recording_url', $3::text)
    from ended e
    where e.is_untold and o.enterprise_number = $1::text and o.call_id = $2::bigint and o.kind = 'hangup' and o.crm = e.crm
    returning o.enterprise_number, o.call_id, o.crm, o.kind
), renewed as (
    update crm_outbox o set report = o.report || jsonb_build_object('recording_url', $3::text)
    where o.enterprise_number = $1::text and o.call_id = $2::bigint and o.kind = 'recording' and o.state = 'pending'
        and jsonb_typeof(o.report) = 'object' and o.report ->> 'recording_url' is distinct from $3::text
    returning o.enterprise_number, o.call_id, o.crm, o.kind
), added as (
    insert into crm_outbox (enterprise_number, call_id, crm, kind, unique_id, report)
    select $1::text, $2::bigint, e.crm, 'recording', e.unique_id,
        e.report || jsonb_build_object('kind', 'recording', 'recording_url', $3::text)
    from ended e
    where not e.is_untold
    order by e.crm
    on conflict do nothing
    returning enterprise_number, call_id, crm, kind
)
select c.enterprise_number, c.call_id, c.crm, c.kind
from (select * from taken union all select * from renewed union all select * from added) as c
order by c.crm collate "C", c.kind collate "C"

-- name: untold_recordings
-- The next page, after (enterprise, call), of calls since $1 whose link is known and has gone into no report for some CRM.
-- Locks: none. Indexes: calls_recorded, crm_outbox_pkey.
select c.enterprise_number, c.call_id
from calls c
where c.record_url <> '' and c.date_received >= $1::timestamptz
    and (c.enterprise_number collate "C", c.call_id) > ($2::text, $3::bigint)
    and exists (
        select from crm_outbox h
        where h.enterprise_number = c.enterprise_number and h.call_id = c.call_id and h.kind = 'hangup'
            and coalesce(h.report ->> 'recording_url', '') = ''
            and not exists (
                select from crm_outbox r
                where r.enterprise_number = h.enterprise_number and r.call_id = h.call_id and r.crm = h.crm and r.kind = 'recording'
            )
    )
order by c.enterprise_number collate "C", c.call_id
limit $4::bigint

-- name: recordings_of
-- Locks: none. Index: calls_pkey.
select c.call_id, c.record_url
from calls c
where c.enterprise_number = $1::text and c.call_id = any($2::bigint[]) and c.record_url <> ''
