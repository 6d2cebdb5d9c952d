-- What CRMs are owed, and what became of it.

-- name: lock_owed
-- Reports from outside about one call come one after the other, so that they agree on its id. Locks: an advisory one until the commit.
select pg_advisory_xact_lock(hashtext('crm_outbox'), hashtext($1::text))

-- name: owe
-- Rows for what is owed ($2, a JSON array; see sql.crm_rows.owed_json), unless the call or the UniqueId has one of this CRM and kind; one
-- that is pending takes the report then ($3), but not one that was made up; a recording that is known stays. Returns the new keys.
-- A report from outside (call_id 0) gets the call of its UniqueId; else an id out of the sequence of events, which no event will have.
-- Locks: the rows written; a concurrent insert of the same key is waited for and then counts as there.
-- Indexes: crm_outbox_pkey, crm_outbox_unique_id, call_events_once, call_events_channel.
with given as materialized (
    select r.* from json_to_recordset($2::json) as r (
        position integer, call_id bigint, crm text, kind text, unique_id text, synthetic boolean, report jsonb
    )
), outside as materialized (
    select u.unique_id, coalesce(
        (select max(e.call_id) from (
            select e.call_id from call_events e
            where e.enterprise_number = $1::text and e.unique_id = u.unique_id and e.event_type in ('start', 'dial', 'hangup')
            union all
            select e.call_id from call_events e
            where e.enterprise_number = $1::text and e.unique_id = u.unique_id
                and e.event_type not in ('start', 'dial', 'hangup') and e.unique_id <> ''
        ) as e where u.unique_id <> ''),
        (select max(o.call_id) from crm_outbox o where o.enterprise_number = $1::text and o.unique_id = u.unique_id and o.unique_id <> ''),
        nextval(pg_get_serial_sequence('call_events', 'id'))
    ) as call_id
    from (select distinct unique_id from given where call_id = 0) as u
), owed as materialized (
    select g.position, coalesce(u.call_id, g.call_id) as call_id, g.crm, g.kind, g.unique_id, g.synthetic, g.report
    from given g
    left join outside u on g.call_id = 0 and u.unique_id = g.unique_id
), present as materialized (
    select w.position, w.synthetic, w.report, p.call_id, w.crm, w.kind
    from owed w
    cross join lateral (
        select s.call_id from (
            select o.call_id, 1 as rank from crm_outbox o
            where o.enterprise_number = $1::text and o.call_id = w.call_id and o.crm = w.crm and o.kind = w.kind
            union all
            select o.call_id, 2 from crm_outbox o
            where o.enterprise_number = $1::text and o.unique_id = w.unique_id and o.crm = w.crm and o.kind = w.kind and o.unique_id <> ''
        ) as s
        order by s.rank
        limit 1
    ) as p
), refreshed as (
    update crm_outbox o set report = p.report || case
        when coalesce(p.report ->> 'recording_url', '') = '' and o.report ->> 'recording_url' <> ''
        then jsonb_build_object('recording_url', o.report -> 'recording_url')
        else '{}'
    end
    from present p
    where $3::boolean and not p.synthetic and o.state = 'pending'
        and o.enterprise_number = $1::text and o.call_id = p.call_id and o.crm = p.crm and o.kind = p.kind
), added as (
    insert into crm_outbox (enterprise_number, call_id, crm, kind, unique_id, report)
    select $1::text, w.call_id, w.crm, w.kind, w.unique_id, w.report
    from owed w
    where not exists (select from present p where p.position = w.position)
    order by w.position
    on conflict do nothing
    returning enterprise_number, call_id, crm, kind
)
select enterprise_number, call_id, crm, kind from added order by call_id, crm collate "C", kind collate "C"

-- name: merge_pushes
-- What absorbed calls owed goes to their survivors where these have nothing of the CRM and kind; of several the one that was told already,
-- else the oldest call's. What is pending beyond that nobody needs; what is over stays where it is.
-- Locks: the rows changed. Index: crm_outbox_pkey.
with chosen as materialized (
    select distinct on (m.survivor, o.crm, o.kind) o.call_id, m.survivor, o.crm, o.kind
    from unnest($2::bigint[], $3::bigint[]) as m (absorbed, survivor)
    join crm_outbox o on o.enterprise_number = $1::text and o.call_id = any($2::bigint[]) and o.call_id = m.absorbed
    where not exists (
        select from crm_outbox s
        where s.enterprise_number = $1::text and s.call_id = m.survivor and s.crm = o.crm and s.kind = o.kind
    )
    order by m.survivor, o.crm, o.kind, o.state = 'pending', o.call_id
), moved as (
    update crm_outbox o set call_id = c.survivor, former_call_ids = o.former_call_ids || o.call_id
    from chosen c
    where o.enterprise_number = $1::text and o.call_id = c.call_id and o.crm = c.crm and o.kind = c.kind
)
delete from crm_outbox o
where o.enterprise_number = $1::text and o.call_id = any($2::bigint[]) and o.state = 'pending'
    and not exists (select from chosen c where c.call_id = o.call_id and c.crm = o.crm and c.kind = o.kind)

-- name: pending_pushes
-- The next page after a key. Texts as they are: what cannot be read is found out row by row.
-- Locks: none. Indexes: crm_outbox_pending, in its order; crm_outbox_pkey for what the call's other rows remember.
select o.enterprise_number, o.call_id, o.crm, o.kind, o.push_id, o.report::text as report, o.state, o.attempts, o.next_at, o.created_at,
    o.outcome, o.problem, o.fault, o.reason, o.advice, f.first_unique_id, f.memories
from crm_outbox o
cross join lateral (
    select (array_agg(f.unique_id order by f.created_at, f.kind collate "C"))[1] as first_unique_id,
        array_agg(f.memory::text order by f.created_at, f.kind collate "C") as memories
    from crm_outbox f
    where f.enterprise_number = o.enterprise_number and f.call_id = o.call_id and f.crm = o.crm
) as f
where o.state = 'pending'
    and (o.enterprise_number collate "C", o.call_id, o.crm collate "C", o.kind collate "C") > ($1::text, $2::bigint, $3::text, $4::text)
order by o.enterprise_number collate "C", o.call_id, o.crm collate "C", o.kind collate "C"
limit $5::bigint

-- name: push_of
-- A pending push by its key, or by the one that it had before its call was absorbed.
-- Locks: none. Indexes: crm_outbox_pkey, crm_outbox_former.
select o.enterprise_number, o.call_id, o.crm, o.kind, o.push_id, o.report::text as report, o.state, o.attempts, o.next_at, o.created_at,
    o.outcome, o.problem, o.fault, o.reason, o.advice, f.first_unique_id, f.memories
from (
    select p.*, 1 as rank from crm_outbox p
    where p.enterprise_number = $1::text and p.call_id = $2::bigint and p.crm = $3::text and p.kind = $4::text
    union all
    select p.*, 2 from crm_outbox p
    where p.former_call_ids @> array[$2::bigint] and p.former_call_ids <> '{}'
        and p.enterprise_number = $1::text and p.crm = $3::text and p.kind = $4::text
    order by rank
    limit 1
) as o
cross join lateral (
    select (array_agg(f.unique_id order by f.created_at, f.kind collate "C"))[1] as first_unique_id,
        array_agg(f.memory::text order by f.created_at, f.kind collate "C") as memories
    from crm_outbox f
    where f.enterprise_number = o.enterprise_number and f.call_id = o.call_id and f.crm = o.crm
) as f
where o.state = 'pending'

-- name: bury_pushes
-- Rows that nobody can read. Problem and fault in the words of gateway.crm.base.
-- Locks: the rows. Index: crm_outbox_push_id_key.
update crm_outbox set state = 'dead', problem = 'internal', fault = 'ours', reason = $2::text
where push_id = any($1::text[]) and state = 'pending'

-- name: record_attempt
-- What became of a try: the push, if it is pending still, and the row of the log. The same attempt ($5) recorded again changes nothing.
-- A report of the end may have got its recording while the CRM was told without it ($18: the link that it was told): if the CRM has that report
-- now, or may have it, the recording becomes a report of its own.
-- By push_id, which no merger changes while its lock is waited for.
-- Locks: the push, the inserted rows. Indexes: crm_outbox_pkey, crm_outbox_former, crm_outbox_push_id_key.
with target as materialized (
    select s.push_id, s.attempted_at from (
        select o.push_id, o.attempted_at, 1 as rank from crm_outbox o
        where o.enterprise_number = $1::text and o.call_id = $2::bigint and o.crm = $3::text and o.kind = $4::text
        union all
        select o.push_id, o.attempted_at, 2 from crm_outbox o
        where o.former_call_ids @> array[$2::bigint] and o.former_call_ids <> '{}'
            and o.enterprise_number = $1::text and o.crm = $3::text and o.kind = $4::text
    ) as s
    order by s.rank
    limit 1
), late as materialized (
    select o.push_id, o.enterprise_number, o.call_id, o.crm, o.unique_id, o.report
    from target t
    join crm_outbox o on o.push_id = t.push_id
    where $4::text = 'hangup' and o.state = 'pending' and o.attempted_at is distinct from $5::timestamptz
        and o.report ->> 'recording_url' <> '' and o.report ->> 'recording_url' <> $18::text
        and ($6::text = 'done' or $13::jsonb -> 'maybe_done_hangup' = 'true')
    for update of o
), told_later as (
    insert into crm_outbox (enterprise_number, call_id, crm, kind, unique_id, report)
    select l.enterprise_number, l.call_id, l.crm, 'recording', l.unique_id, l.report || '{"kind": "recording"}'
    from late l
    on conflict do nothing
), updated as (
    update crm_outbox o set
        report = case
            when exists (select from late l where l.push_id = o.push_id)
            then o.report || jsonb_build_object('recording_url', $18::text)
            else o.report
        end,
        state = $6::text, next_at = $7::timestamptz, attempts = o.attempts + 1, attempted_at = $5::timestamptz,
        outcome = $8::text, problem = $9::text, fault = $10::text, reason = $11::text, advice = $12::text,
        memory = case when jsonb_typeof(o.memory) = 'object' then o.memory else '{}' end || $13::jsonb
    from target t
    where o.push_id = t.push_id and o.state = 'pending' and o.attempted_at is distinct from $5::timestamptz
)
insert into integration_logs (
    created_at, enterprise_number, integration_type, event_type, request_data, response_data, status, error_message
)
select $5::timestamptz, $1::text, $3::text, $14::text, $15::jsonb, $16::jsonb, $17::text, $11::text
where not exists (select from target t where t.attempted_at = $5::timestamptz)

-- name: dead_pushes
-- Locks: none. Indexes: crm_outbox_dead, read backwards; crm_outbox_pkey.
select o.enterprise_number, o.call_id, o.crm, o.kind, o.push_id, o.report::text as report, o.state, o.attempts, o.next_at, o.created_at,
    o.outcome, o.problem, o.fault, o.reason, o.advice, f.first_unique_id, f.memories
from crm_outbox o
cross join lateral (
    select (array_agg(f.unique_id order by f.created_at, f.kind collate "C"))[1] as first_unique_id,
        array_agg(f.memory::text order by f.created_at, f.kind collate "C") as memories
    from crm_outbox f
    where f.enterprise_number = o.enterprise_number and f.call_id = o.call_id and f.crm = o.crm
) as f
where o.enterprise_number = $1::text and o.state = 'dead'
order by o.created_at desc, o.call_id, o.crm collate "C", o.kind collate "C"
limit $2::bigint

-- name: revive_pushes
-- Locks: the rows. Index: crm_outbox_dead.
with revived as (
    update crm_outbox set state = 'pending', attempts = 0, next_at = $2::timestamptz
    where enterprise_number = $1::text and state = 'dead'
    returning enterprise_number, call_id, crm, kind
)
select enterprise_number, call_id, crm, kind from revived order by call_id, crm collate "C", kind collate "C"

-- name: integration_logs
-- Locks: none. Index: integration_logs_newest, in its order.
select created_at, enterprise_number, integration_type, event_type, request_data::text as request_data, response_data::text as response_data,
    status, error_message
from integration_logs
where enterprise_number = $1::text
order by created_at desc, id desc
limit $2::bigint
