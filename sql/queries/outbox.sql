-- What CRMs are owed, and what became of it.

-- name: lock_owed
-- Reports from outside and the steps of the lane come one after the other, so that they agree on the id of a call. First of all in a step:
-- whoever has it waits for nobody's rows. Locks: an advisory one until the commit.
select pg_advisory_xact_lock(hashtext('crm_outbox'), hashtext($1::text))

-- name: owe
-- Rows for what is owed ($2, a JSON array; see sql.crm_rows.owed_json), unless the call or the UniqueId has one of this CRM and kind; one
-- that is pending or dead takes the report then ($3), but not one that was made up; a recording that is known stays. Returns the new keys.
-- A report from outside (call_id 0) gets the call of its UniqueId; else an id out of the sequence of events, which no event will have.
-- Locks: the rows written; a concurrent insert of the same key is waited for and then counts as there.
-- Indexes: crm_outbox_pkey, crm_outbox_unique_id, call_events_once, call_events_channel.
with given as materialized (
    select r.* from json_to_recordset($2::json) as r (
        position integer, call_id bigint, crm text, kind text, unique_id text, synthetic boolean, report jsonb
    )
), outside as materialized (
    select u.unique_id,
        coalesce(heard.call_id, told.call_id, nextval(pg_get_serial_sequence('call_events', 'id'))) as call_id,
        heard.call_id is null and coalesce(told.is_outside, true) as is_outside
    from (select distinct unique_id from given where call_id = 0) as u
    left join lateral (
        select max(e.call_id) as call_id from (
            select e.call_id from call_events e
            where e.enterprise_number = $1::text and e.unique_id = u.unique_id and e.event_type in ('start', 'dial', 'hangup')
            union all
            select e.call_id from call_events e
            where e.enterprise_number = $1::text and e.unique_id = u.unique_id
                and e.event_type not in ('start', 'dial', 'hangup') and e.unique_id <> ''
        ) as e where u.unique_id <> ''
    ) as heard on true
    left join lateral (
        select o.call_id, o.is_outside from crm_outbox o
        where o.enterprise_number = $1::text and o.unique_id = u.unique_id and o.unique_id <> ''
        order by o.call_id desc
        limit 1
    ) as told on true
), owed as materialized (
    select g.position, coalesce(u.call_id, g.call_id) as call_id, coalesce(u.is_outside, false) as is_outside, g.crm, g.kind, g.unique_id,
        g.synthetic, g.report
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
    where $3::boolean and not p.synthetic and o.state in ('pending', 'dead')
        and o.enterprise_number = $1::text and o.call_id = p.call_id and o.crm = p.crm and o.kind = p.kind
), added as (
    insert into crm_outbox (enterprise_number, call_id, crm, kind, unique_id, report, is_outside)
    select $1::text, w.call_id, w.crm, w.kind, w.unique_id, w.report, w.is_outside
    from owed w
    where not exists (select from present p where p.position = w.position)
    order by w.position
    on conflict do nothing
    returning enterprise_number, call_id, crm, kind
)
select enterprise_number, call_id, crm, kind from added order by call_id, crm collate "C", kind collate "C"

-- name: merge_pushes
-- What absorbed calls owed goes to their survivors where these have nothing of the CRM and kind; of several the one that was told already,
-- else the oldest call's. What is pending beyond that nobody needs; what is over stays where it is. What a survivor still owes to a CRM goes by
-- another UniqueId from then on, if an older row joins it: that is news.
-- Locks: the rows changed. Index: crm_outbox_pkey.
with chosen as materialized (
    select distinct on (m.survivor, o.crm, o.kind) o.call_id, m.survivor, o.crm, o.kind, o.created_at
    from unnest($2::bigint[], $3::bigint[]) as m (absorbed, survivor)
    join crm_outbox o on o.enterprise_number = $1::text and o.call_id = any($2::bigint[]) and o.call_id = m.absorbed
    where not exists (
        select from crm_outbox s
        where s.enterprise_number = $1::text and s.call_id = m.survivor and s.crm = o.crm and s.kind = o.kind
    )
    order by m.survivor, o.crm, o.kind, o.state = 'pending', o.call_id
), moved as (
    update crm_outbox o set call_id = c.survivor, former_call_ids = o.former_call_ids || o.call_id, is_outside = false
    from chosen c
    where o.enterprise_number = $1::text and o.call_id = c.call_id and o.crm = c.crm and o.kind = c.kind
), renewed as (
    update crm_outbox o set revision = o.revision + 1
    where o.enterprise_number = $1::text and o.state <> 'done' and (o.call_id, o.crm) in (
        select c.survivor, c.crm from chosen c
        where not exists (
            select from crm_outbox s
            where s.enterprise_number = $1::text and s.call_id = c.survivor and s.crm = c.crm
                and (s.created_at, s.kind collate "C") < (c.created_at, c.kind collate "C")
        )
    )
)
delete from crm_outbox o
where o.enterprise_number = $1::text and o.call_id = any($2::bigint[]) and o.state = 'pending'
    and not exists (select from chosen c where c.call_id = o.call_id and c.crm = o.crm and c.kind = o.kind)

-- name: adopt_pushes
-- The rows that a report from outside has made for a UniqueId go to the call that owes something for it ($2, as `owe` takes it), as those of an
-- absorbed call to its survivor.
-- Locks: the rows changed. Indexes: crm_outbox_unique_id, crm_outbox_pkey.
with adopted as materialized (
    select distinct on (o.call_id) o.call_id as absorbed, g.call_id as survivor
    from (
        select distinct r.call_id, r.unique_id
        from json_to_recordset($2::json) as r (call_id bigint, unique_id text)
        where r.call_id <> 0 and r.unique_id <> ''
    ) as g
    join crm_outbox o on o.enterprise_number = $1::text and o.unique_id = g.unique_id and o.unique_id <> ''
    where o.is_outside and o.call_id <> g.call_id
    order by o.call_id, g.call_id
), chosen as materialized (
    select distinct on (a.survivor, o.crm, o.kind) o.call_id, a.survivor, o.crm, o.kind, o.created_at
    from adopted a
    join crm_outbox o on o.enterprise_number = $1::text and o.call_id = a.absorbed
    where not exists (
        select from crm_outbox s
        where s.enterprise_number = $1::text and s.call_id = a.survivor and s.crm = o.crm and s.kind = o.kind
    )
    order by a.survivor, o.crm, o.kind, o.state = 'pending', o.call_id
), moved as (
    update crm_outbox o set call_id = c.survivor, former_call_ids = o.former_call_ids || o.call_id, is_outside = false
    from chosen c
    where o.enterprise_number = $1::text and o.call_id = c.call_id and o.crm = c.crm and o.kind = c.kind
), renewed as (
    update crm_outbox o set revision = o.revision + 1
    where o.enterprise_number = $1::text and o.state <> 'done' and (o.call_id, o.crm) in (
        select c.survivor, c.crm from chosen c
        where not exists (
            select from crm_outbox s
            where s.enterprise_number = $1::text and s.call_id = c.survivor and s.crm = c.crm
                and (s.created_at, s.kind collate "C") < (c.created_at, c.kind collate "C")
        )
    )
)
delete from crm_outbox o
using adopted a
where o.enterprise_number = $1::text and o.call_id = a.absorbed and o.state = 'pending'
    and not exists (select from chosen c where c.call_id = o.call_id and c.crm = o.crm and c.kind = o.kind)

-- name: pending_pushes
-- The next page after a key. Texts as they are: what cannot be read is found out row by row.
-- Locks: none. Indexes: crm_outbox_pending, in its order; crm_outbox_pkey for what the call's other rows remember.
select o.enterprise_number, o.call_id, o.crm, o.kind, o.push_id, o.revision, o.report::text as report, o.state, o.attempts, o.next_at,
    o.created_at, o.outcome, o.problem, o.fault, o.reason, o.advice, f.first_unique_id, f.memories, f.has_ended
from crm_outbox o
cross join lateral (
    select (array_agg(f.unique_id order by f.created_at, f.kind collate "C"))[1] as first_unique_id,
        array_agg(f.memory::text order by f.created_at, f.kind collate "C") as memories,
        bool_or(f.kind = 'hangup') as has_ended
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
select o.enterprise_number, o.call_id, o.crm, o.kind, o.push_id, o.revision, o.report::text as report, o.state, o.attempts, o.next_at,
    o.created_at, o.outcome, o.problem, o.fault, o.reason, o.advice, f.first_unique_id, f.memories, f.has_ended
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
        array_agg(f.memory::text order by f.created_at, f.kind collate "C") as memories,
        bool_or(f.kind = 'hangup') as has_ended
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
-- Returns the state of the row afterwards; of a row that is not there, the attempt's.
-- The report may have changed while it was tried ($19, $20: the one that was sent, and its revision). If the CRM has the one that was sent, the
-- row says so; if that one is given up, the newer one has its try.
-- A report of the end may have got its recording while the CRM was told without it ($18: the link that it was told): if the CRM has that report
-- now, or may have it, the recording becomes a report of its own.
-- By push_id, which no merger changes while its lock is waited for.
-- Locks: the push, the inserted rows. Indexes: crm_outbox_pkey, crm_outbox_former, crm_outbox_push_id_key.
with target as materialized (
    select s.push_id, s.state, s.attempted_at from (
        select o.push_id, o.state, o.attempted_at, 1 as rank from crm_outbox o
        where o.enterprise_number = $1::text and o.call_id = $2::bigint and o.crm = $3::text and o.kind = $4::text
        union all
        select o.push_id, o.state, o.attempted_at, 2 from crm_outbox o
        where o.former_call_ids @> array[$2::bigint] and o.former_call_ids <> '{}'
            and o.enterprise_number = $1::text and o.crm = $3::text and o.kind = $4::text
    ) as s
    order by s.rank
    limit 1
), held as materialized (
    select o.push_id, o.enterprise_number, o.call_id, o.crm, o.unique_id, o.report, o.revision,
        $4::text = 'hangup' and coalesce(o.report ->> 'recording_url', '') not in ('', $18::text)
            and ($6::text = 'done' or coalesce($13::jsonb -> 'maybe_done_hangup' = 'true', false)) as is_late
    from target t
    join crm_outbox o on o.push_id = t.push_id
    where o.state = 'pending' and o.attempted_at is distinct from $5::timestamptz
    for update of o
), left_over as materialized (
    select h.*, case when h.is_late then h.report || jsonb_build_object('recording_url', $18::text) else h.report end as rest
    from held h
), judged as materialized (
    select l.*, $20::integer > 0 and l.revision <> $20::integer and not (
        l.is_late and l.call_id = $2::bigint and report_content(l.rest) is not distinct from report_content($19::jsonb)
    ) as is_renewed
    from left_over l
), told_later as (
    insert into crm_outbox (enterprise_number, call_id, crm, kind, unique_id, report)
    select h.enterprise_number, h.call_id, h.crm, 'recording', h.unique_id, h.report || '{"kind": "recording"}'
    from held h
    where h.is_late
    on conflict do nothing
), updated as (
    update crm_outbox o set
        report = case when j.is_renewed and $6::text = 'done' then $19::jsonb else j.rest end,
        revision = case when $20::integer > 0 and ($6::text = 'done' or not j.is_renewed) then $20::integer else o.revision end,
        state = case when j.is_renewed and $6::text = 'dead' then 'pending' else $6::text end,
        next_at = case when j.is_renewed and $6::text = 'dead' then $5::timestamptz else $7::timestamptz end,
        attempts = o.attempts + 1, attempted_at = $5::timestamptz,
        outcome = $8::text, problem = $9::text, fault = $10::text, reason = $11::text, advice = $12::text,
        memory = case when jsonb_typeof(o.memory) = 'object' then o.memory else '{}' end || $13::jsonb
    from judged j
    where o.push_id = j.push_id
    returning o.state
), logged as (
    insert into integration_logs (
        created_at, enterprise_number, integration_type, event_type, request_data, response_data, status, error_message, call_id, unique_id,
        push_id
    )
    select $5::timestamptz, $1::text, $3::text, $14::text, $15::jsonb, $16::jsonb, $17::text, $11::text, $2::bigint, $21::text, $22::text
    where not exists (select from target t where t.attempted_at = $5::timestamptz)
)
select coalesce((select u.state from updated u), (select t.state from target t), $6::text) as state

-- name: dead_pushes
-- Locks: none. Indexes: crm_outbox_dead, read backwards; crm_outbox_pkey.
select o.enterprise_number, o.call_id, o.crm, o.kind, o.push_id, o.revision, o.report::text as report, o.state, o.attempts, o.next_at,
    o.created_at, o.outcome, o.problem, o.fault, o.reason, o.advice, f.first_unique_id, f.memories, f.has_ended
from crm_outbox o
cross join lateral (
    select (array_agg(f.unique_id order by f.created_at, f.kind collate "C"))[1] as first_unique_id,
        array_agg(f.memory::text order by f.created_at, f.kind collate "C") as memories,
        bool_or(f.kind = 'hangup') as has_ended
    from crm_outbox f
    where f.enterprise_number = o.enterprise_number and f.call_id = o.call_id and f.crm = o.crm
) as f
where o.enterprise_number = $1::text and o.state = 'dead'
order by o.created_at desc, o.call_id, o.crm collate "C", o.kind collate "C"
limit $2::bigint

-- name: revive_pushes
-- All that is dead but dials that help nobody any more: the CRM knows the end of the call, or is to be told of it and needs no dial before it
-- (as those of $3 do). `is_left`: these; they are done with, for the reason $4.
-- Locks: the rows. Indexes: crm_outbox_dead, crm_outbox_pkey.
with dead as materialized (
    select o.push_id, o.enterprise_number, o.call_id, o.crm, o.kind, o.kind = 'dial' and exists (
        select from crm_outbox h
        where h.enterprise_number = $1::text and h.call_id = o.call_id and h.crm = o.crm and h.kind = 'hangup'
            and (h.state = 'done' or o.crm <> all($3::text[]))
    ) as is_left
    from crm_outbox o
    where o.enterprise_number = $1::text and o.state = 'dead'
), revived as (
    update crm_outbox o set state = 'pending', attempts = 0, next_at = $2::timestamptz
    from dead d
    where o.push_id = d.push_id and o.state = 'dead' and not d.is_left
    returning o.enterprise_number, o.call_id, o.crm, o.kind, false as is_left
), settled as (
    update crm_outbox o set state = 'done', outcome = 'nothing_to_do', problem = '', fault = '', reason = $4::text, advice = ''
    from dead d
    where o.push_id = d.push_id and o.state = 'dead' and d.is_left
    returning o.enterprise_number, o.call_id, o.crm, o.kind, true as is_left
)
select f.enterprise_number, f.call_id, f.crm, f.kind, f.is_left
from (
    select * from revived
    union all
    select * from settled
) as f
order by f.call_id, f.crm collate "C", f.kind collate "C"

-- name: integration_logs
-- Locks: none. Index: integration_logs_newest, in its order.
select created_at, enterprise_number, integration_type, event_type, request_data::text as request_data, response_data::text as response_data,
    status, error_message, call_id, unique_id, push_id
from integration_logs
where enterprise_number = $1::text
order by created_at desc, id desc
limit $2::bigint
