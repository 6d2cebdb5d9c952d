-- Retention and health.

-- name: delete_old_events
-- Understood events that are older than $1 and whose call is not live, at most $2.
-- Locks: the rows deleted, which nobody else writes any more. Indexes: call_events_age, live_calls_pkey, call_events_pkey.
delete from call_events
where id = any(array(
    select e.id from call_events e
    where e.event_timestamp < $1::timestamptz and e.processed
        and not exists (select from live_calls l where l.enterprise_number = e.enterprise_number and l.call_id = e.call_id)
    limit $2::bigint
))
returning 1 as gone

-- name: delete_old_messages
-- The records of messages that have not changed since $1 and whose call is not live, at most $2.
-- Locks: the rows deleted. Indexes: telegram_messages_age, live_calls_pkey. By ctid: a row that is written meanwhile has another one and stays.
delete from telegram_messages
where ctid = any(array(
    select m.ctid from telegram_messages m
    where m.updated_at < $1::timestamptz
        and not exists (select from live_calls l where l.enterprise_number = m.enterprise_number and l.call_id = m.call_id)
    limit $2::bigint
))
returning 1 as gone

-- name: delete_old_pushes
-- What CRMs were told, or were not in the end, before $1, at most $2; what is pending stays.
-- Locks: the rows deleted. Index: crm_outbox_age. By ctid: a row that is revived meanwhile has another one and stays.
delete from crm_outbox
where ctid = any(array(
    select o.ctid from crm_outbox o where o.created_at < $1::timestamptz and o.state <> 'pending' limit $2::bigint
))
returning 1 as gone

-- name: delete_old_attempts
-- Locks: the rows deleted, which nobody writes. Indexes: integration_logs_age, integration_logs_pkey.
delete from integration_logs
where id = any(array(select l.id from integration_logs l where l.created_at < $1::timestamptz limit $2::bigint))
returning 1 as gone

-- name: delete_old_invites
-- Locks: the rows deleted. Whole table: it holds what was invited within the retention.
delete from invites where expires_at < $1::timestamptz

-- name: ping
select 1
