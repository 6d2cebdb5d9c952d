-- Who calls, what CRMs are to be told and were told, and news of every change of the configuration.

-- The customer of an external call as `customers` knows the number, null for calls that count for nobody: internal ones, withheld and
-- broken numbers. A longer number than 32 digits is none (gateway.calls.phones, MAX_DIGITS).
alter table calls add column customer_e164 text
    generated always as (case when call_type in (0, 1) and phone ~ '^[0-9]{1,32}$' then '+' || phone end) stored;
create index calls_customer on calls (enterprise_number, customer_e164, date_received desc, call_id desc) where customer_e164 is not null;

-- A number that called or was called. Only the key must be given, so that a name can be put in by hand.
-- The counts, *_seen_at and last_* say what the rows of `calls` say, always: the triggers below see to it, whoever writes which of the two
-- tables. first_seen_at: the earliest begin; last_seen_at: the latest end; of what was corrected, merged or deleted nothing is left in them.
create table customers (
    enterprise_number text not null,
    phone_e164 text not null check (phone_e164 ~ '^\+[0-9]{1,32}$'),
    first_seen_at timestamptz,
    last_seen_at timestamptz,
    calls_total_in integer not null default 0,
    calls_total_out integer not null default 0,
    calls_answered_in integer not null default 0,
    calls_answered_out integer not null default 0,
    calls_missed_in integer not null default 0,
    calls_missed_out integer not null default 0,
    last_call_at timestamptz,
    last_call_direction text not null default 'unknown' check (last_call_direction in ('in', 'out', 'unknown')),
    last_call_status text not null default 'unknown' check (last_call_status in ('answered', 'missed', 'unknown')),
    last_success_at timestamptz,
    last_agent_internal text not null default '',
    last_line text not null default '',
    last_name text not null default '',
    first_name text not null default '',
    middle_name text not null default '',
    enterprise_name text not null default '',
    -- The CRM that said the names ("" for a hand), its id of the customer, and whether that is a company's.
    name_source text not null default '',
    external_id text not null default '',
    is_company boolean not null default false,
    named_at timestamptz,
    -- person_uid "<source>:<id>" or "<source>_corp:<id>": the numbers of one customer have the same. ids: {"<source>": ["<id>", …]}.
    meta jsonb not null default '{}' check (jsonb_typeof(meta) = 'object'),
    -- The transaction that last made the counts anew of all calls. Whoever writes this column, whatever the value, has them made anew.
    counted_by xid8,
    primary key (enterprise_number, phone_e164)
) with (fillfactor = 80);
create index customers_person on customers (enterprise_number, (meta ->> 'person_uid')) where meta ? 'person_uid';

-- What the calls say of one customer. Index: calls_customer.
create function customer_by_calls(of_enterprise text, of_phone text) returns customers language sql stable as $$
    with own as (
        select c.*, coalesce(c.date_end, c.date_received) as ended_at
        from calls c
        where c.enterprise_number = of_enterprise and c.customer_e164 = of_phone and c.customer_e164 is not null
    ), newest as (
        select * from own order by date_received desc, call_id desc limit 1
    )
    select of_enterprise, of_phone, min(o.date_received), max(o.ended_at),
        count(*) filter (where o.call_type = 0)::integer,
        count(*) filter (where o.call_type = 1)::integer,
        count(*) filter (where o.call_type = 0 and o.call_status = 2)::integer,
        count(*) filter (where o.call_type = 1 and o.call_status = 2)::integer,
        count(*) filter (where o.call_type = 0 and o.call_status <> 2)::integer,
        count(*) filter (where o.call_type = 1 and o.call_status <> 2)::integer,
        (select ended_at from newest),
        coalesce((select case call_type when 0 then 'in' else 'out' end from newest), 'unknown'),
        coalesce((select case call_status when 2 then 'answered' else 'missed' end from newest), 'unknown'),
        max(o.ended_at) filter (where o.call_status = 2),
        coalesce((select trim(split_part(extension, ',', 1)) from newest), ''),
        coalesce((select trunk from newest), ''),
        '', '', '', '', '', '', false, null::timestamptz, '{}'::jsonb, null::xid8
    from own o
$$;

-- A new row of `customers` counts what is there, whatever was given.
create function count_customer() returns trigger language plpgsql as $$
declare
    counted customers := customer_by_calls(new.enterprise_number, new.phone_e164);
begin
    new.first_seen_at := counted.first_seen_at;
    new.last_seen_at := counted.last_seen_at;
    new.calls_total_in := counted.calls_total_in;
    new.calls_total_out := counted.calls_total_out;
    new.calls_answered_in := counted.calls_answered_in;
    new.calls_answered_out := counted.calls_answered_out;
    new.calls_missed_in := counted.calls_missed_in;
    new.calls_missed_out := counted.calls_missed_out;
    new.last_call_at := counted.last_call_at;
    new.last_call_direction := counted.last_call_direction;
    new.last_call_status := counted.last_call_status;
    new.last_success_at := counted.last_success_at;
    new.last_agent_internal := counted.last_agent_internal;
    new.last_line := counted.last_line;
    new.counted_by := pg_current_xact_id();
    return new;
end
$$;
create trigger customers_counted before insert or update of counted_by on customers for each row execute function count_customer();

-- Moves the counts by the difference between the calls as they were and as they are: the same rows on both sides move nothing.
-- A row that was counted as a whole in this transaction is counted so again: one statement may insert calls and update others, both triggers
-- see all of it, and the row that the first one makes knows already what the second one would add.
-- Locks: the rows of the customers, in the order of their keys.
create function count_calls(gone calls[], come calls[]) returns void language plpgsql as $$
declare
    moved record;
    newest calls;
begin
    for moved in
        with changed as (
            select -1 as sign, g.* from unnest(gone) as g where g.customer_e164 is not null
            union all
            select 1, c.* from unnest(come) as c where c.customer_e164 is not null
        )
        select enterprise_number, customer_e164,
            coalesce(sum(sign) filter (where call_type = 0), 0) as total_in,
            coalesce(sum(sign) filter (where call_type = 1), 0) as total_out,
            coalesce(sum(sign) filter (where call_type = 0 and call_status = 2), 0) as answered_in,
            coalesce(sum(sign) filter (where call_type = 1 and call_status = 2), 0) as answered_out,
            coalesce(sum(sign) filter (where call_type = 0 and call_status <> 2), 0) as missed_in,
            coalesce(sum(sign) filter (where call_type = 1 and call_status <> 2), 0) as missed_out,
            min(date_received) filter (where sign = 1) as first_come,
            min(date_received) filter (where sign = -1) as first_gone,
            max(coalesce(date_end, date_received)) filter (where sign = 1) as last_come,
            max(coalesce(date_end, date_received)) filter (where sign = -1) as last_gone,
            max(coalesce(date_end, date_received)) filter (where sign = 1 and call_status = 2) as success_come,
            max(coalesce(date_end, date_received)) filter (where sign = -1 and call_status = 2) as success_gone
        from changed
        group by enterprise_number, customer_e164
        order by enterprise_number, customer_e164
    loop
        select * into newest
        from calls c
        where c.enterprise_number = moved.enterprise_number and c.customer_e164 = moved.customer_e164 and c.customer_e164 is not null
        order by c.date_received desc, c.call_id desc
        limit 1;
        loop
            update customers k set
                -- Only when the first, the last or the last answered call was taken out, all of the customer's calls are looked at.
                first_seen_at = case
                    when moved.first_gone <= k.first_seen_at and (moved.first_come is null or moved.first_come > moved.first_gone)
                    then (customer_by_calls(k.enterprise_number, k.phone_e164)).first_seen_at
                    else least(k.first_seen_at, moved.first_come)
                end,
                last_seen_at = case
                    when moved.last_gone >= k.last_seen_at and (moved.last_come is null or moved.last_come < moved.last_gone)
                    then (customer_by_calls(k.enterprise_number, k.phone_e164)).last_seen_at
                    else greatest(k.last_seen_at, moved.last_come)
                end,
                calls_total_in = k.calls_total_in + moved.total_in,
                calls_total_out = k.calls_total_out + moved.total_out,
                calls_answered_in = k.calls_answered_in + moved.answered_in,
                calls_answered_out = k.calls_answered_out + moved.answered_out,
                calls_missed_in = k.calls_missed_in + moved.missed_in,
                calls_missed_out = k.calls_missed_out + moved.missed_out,
                last_call_at = coalesce(newest.date_end, newest.date_received),
                last_call_direction = case newest.call_type when 0 then 'in' when 1 then 'out' else 'unknown' end,
                last_call_status = case when newest.call_status is null then 'unknown' when newest.call_status = 2 then 'answered' else 'missed' end,
                last_success_at = case
                    when moved.success_gone >= k.last_success_at and (moved.success_come is null or moved.success_come < moved.success_gone)
                    then (customer_by_calls(k.enterprise_number, k.phone_e164)).last_success_at
                    else greatest(k.last_success_at, moved.success_come)
                end,
                last_agent_internal = coalesce(trim(split_part(newest.extension, ',', 1)), ''),
                last_line = coalesce(newest.trunk, '')
            where k.enterprise_number = moved.enterprise_number and k.phone_e164 = moved.customer_e164
                and k.counted_by is distinct from pg_current_xact_id();
            exit when found;
            update customers k set counted_by = pg_current_xact_id()
            where k.enterprise_number = moved.enterprise_number and k.phone_e164 = moved.customer_e164
                and k.counted_by = pg_current_xact_id();
            exit when found;
            -- When somebody else's row comes first, the difference is added to that one.
            insert into customers (enterprise_number, phone_e164) values (moved.enterprise_number, moved.customer_e164) on conflict do nothing;
            exit when found;
        end loop;
    end loop;
end
$$;

create function count_changed_calls() returns trigger language plpgsql as $$
begin
    -- Transition tables are seen here alone; each branch is planned when it is reached, with those that it has.
    if tg_op = 'INSERT' then
        if exists (select from come) then
            perform count_calls('{}', array(select row(c.*)::calls from come as c));
        end if;
    elsif tg_op = 'DELETE' then
        if exists (select from gone) then
            perform count_calls(array(select row(g.*)::calls from gone as g), '{}');
        end if;
    elsif exists (select from come) then
        perform count_calls(array(select row(g.*)::calls from gone as g), array(select row(c.*)::calls from come as c));
    end if;
    return null;
end
$$;
create trigger calls_counted_in after insert on calls
    referencing new table as come for each statement execute function count_changed_calls();
create trigger calls_counted_again after update on calls
    referencing old table as gone new table as come for each statement execute function count_changed_calls();
create trigger calls_counted_out after delete on calls
    referencing old table as gone for each statement execute function count_changed_calls();

insert into customers (enterprise_number, phone_e164)
select distinct enterprise_number, customer_e164 from calls where customer_e164 is not null;

-- `meta` of a customer whom a source knows by this id, and with whom the number is one person; "" for what is not to change.
create function customer_meta(meta jsonb, id_key text, external_id text, person_uid text) returns jsonb language sql immutable as $$
    select meta
        || case when person_uid = '' then '{}' else jsonb_build_object('person_uid', person_uid) end
        || case when id_key = '' then '{}' else jsonb_build_object('ids',
            case when jsonb_typeof(meta -> 'ids') = 'object' then meta -> 'ids' else '{}' end
            || jsonb_build_object(id_key,
                case when jsonb_typeof(meta -> 'ids' -> id_key) = 'array' then (meta -> 'ids' -> id_key) - external_id else '[]' end
                || to_jsonb(array[external_id])))
        end
$$;

-- What CRMs are to be told of calls, each once.
create table crm_outbox (
    enterprise_number text not null,
    call_id bigint not null,
    crm text not null,
    kind text not null check (kind in ('dial', 'hangup')),
    -- Names the row and never changes. A CRM knows a repetition by it together with the revision (gateway.ports.Push.content_id).
    push_id text not null default 'msg_' || replace(gen_random_uuid()::text, '-', '') unique,
    -- Rises with each change of what is to be told (trigger below).
    revision integer not null default 1,
    unique_id text not null,
    report jsonb not null,
    -- The call_id is none of an event: a report from outside came first. The call that has the UniqueId takes the row over.
    is_outside boolean not null default false,
    state text not null default 'pending' check (state in ('pending', 'done', 'dead')),
    attempts integer not null default 0,
    next_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    -- Of the last attempt: whether one that is recorded again is in already.
    attempted_at timestamptz,
    memory jsonb not null default '{}',
    outcome text not null default '',
    problem text not null default '',
    fault text not null default '',
    reason text not null default '',
    advice text not null default '',
    -- Calls that were absorbed, from which this row came: an attempt that was under way meanwhile finds it.
    former_call_ids bigint[] not null default '{}',
    primary key (enterprise_number, call_id, crm, kind)
) with (fillfactor = 80, autovacuum_vacuum_threshold = 2000, autovacuum_analyze_threshold = 2000);
create unique index crm_outbox_unique_id on crm_outbox (enterprise_number, unique_id, crm, kind) where unique_id <> '';
create index crm_outbox_pending on crm_outbox (enterprise_number collate "C", call_id, crm collate "C", kind collate "C")
    where state = 'pending';
create index crm_outbox_dead on crm_outbox (enterprise_number, created_at) where state = 'dead';
create index crm_outbox_former on crm_outbox using gin (former_call_ids) where former_call_ids <> '{}';
create index crm_outbox_age on crm_outbox using brin (created_at) with (pages_per_range = 32, autosummarize = on);

-- What a report says, but for the ids that are the row's and not the report's.
create function report_content(report jsonb) returns jsonb language sql immutable as $$
    select case when jsonb_typeof(report) = 'object' then report - array['call_id', 'unique_id'] else report end
$$;

-- Whoever changes what is still to be told, with whatever tool: the CRM must not take the news for a repetition.
create function renew_push() returns trigger language plpgsql as $$
begin
    if new.revision = old.revision and old.state <> 'done'
        and (new.call_id <> old.call_id or report_content(new.report) is distinct from report_content(old.report))
    then
        new.revision := old.revision + 1;
    end if;
    return new;
end
$$;
create trigger crm_outbox_renewed before update of report, call_id on crm_outbox for each row execute function renew_push();

-- Every attempt to tell a CRM something. Requests and answers are without keys and tokens, and cut where they are long.
-- call_id, unique_id, push_id: of the report, as they were told; what push_id a CRM was given says which revision it was.
create table integration_logs (
    id bigint generated always as identity primary key,
    created_at timestamptz not null default now(),
    enterprise_number text not null,
    integration_type text not null,
    event_type text not null,
    call_id bigint,
    unique_id text not null default '',
    push_id text not null default '',
    request_data jsonb not null default '{}',
    response_data jsonb not null default '{}',
    status text not null check (status in ('success', 'error')),
    error_message text not null default ''
);
create index integration_logs_newest on integration_logs (enterprise_number, created_at desc, id desc);
create index integration_logs_age on integration_logs using brin (created_at) with (pages_per_range = 32, autosummarize = on);

-- Whoever changes the configuration or a subscription, with whatever tool: the running gateways hear which enterprise it is. The payload is
-- its number, "" when a table was emptied. PostgreSQL, NOTIFY: the same payload is delivered once a transaction.
create function tell_gateways() returns trigger language plpgsql as $$
begin
    if tg_op = 'TRUNCATE' then
        perform pg_notify('gateway_configuration', '');
        return null;
    end if;
    if tg_op <> 'INSERT' then
        perform pg_notify('gateway_configuration', to_jsonb(old) ->> tg_argv[0]);
    end if;
    if tg_op <> 'DELETE' then
        perform pg_notify('gateway_configuration', to_jsonb(new) ->> tg_argv[0]);
    end if;
    return null;
end
$$;
create trigger enterprises_tell after insert or update or delete on enterprises
    for each row execute function tell_gateways('number');
create trigger lines_tell after insert or update or delete on lines
    for each row execute function tell_gateways('enterprise_number');
create trigger managers_tell after insert or update or delete on managers
    for each row execute function tell_gateways('enterprise_number');
create trigger telegram_users_tell after insert or update or delete on telegram_users
    for each row execute function tell_gateways('enterprise_number');
create trigger enterprises_tell_truncate after truncate on enterprises for each statement execute function tell_gateways();
create trigger lines_tell_truncate after truncate on lines for each statement execute function tell_gateways();
create trigger managers_tell_truncate after truncate on managers for each statement execute function tell_gateways();
create trigger telegram_users_tell_truncate after truncate on telegram_users for each statement execute function tell_gateways();
