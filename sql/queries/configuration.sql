-- Enterprises with their lines, managers and subscribers: small tables, read whole. Running gateways hear of every change by triggers
-- (migration 0002).

-- name: lock_configuration
-- Two loads at once go one after the other. Locks: an advisory one until the end of the transaction.
select pg_advisory_xact_lock(hashtext('gateway_configuration'))

-- name: enterprises
-- All ($1 null), or those that have $1 as number, token, secret or name. In one statement, so in one snapshot. `integrations_config` as
-- text: what cannot be read is the trouble of one enterprise. `subscribers`: pairs of chat and whether the subscription to the bot of now is living.
-- Locks: none. Whole table; lines_pkey, managers_pkey, telegram_users_pkey for each enterprise.
select n.number, n.name, n.name2, n.secret, n.bot_token, n.timezone, n.language, n.final, n.active, n.integrations_config::text as integrations_config,
    (select coalesce(json_agg(json_build_object('line_id', l.line_id, 'name', l.name, 'operator', l.operator,
            'incoming_transform', l.incoming_transform) order by l.line_id collate "C"), '[]')
        from lines l where l.enterprise_number = n.number) as lines,
    (select coalesce(json_agg(json_build_object('extension', m.extension, 'last_name', m.last_name, 'first_name', m.first_name,
            'middle_name', m.middle_name, 'personal_phone', m.personal_phone) order by m.extension collate "C"), '[]')
        from managers m where m.enterprise_number = n.number) as managers,
    (select coalesce(json_agg(json_build_array(u.tg_id, u.dead_at is null) order by u.subscribed_at, u.tg_id), '[]')
        from telegram_users u where u.enterprise_number = n.number and u.bot_token = n.bot_token) as subscribers
from enterprises n
where $1::text is null or $1::text in (n.number, n.name2, n.secret, n.name)
order by n.number collate "C"

-- name: upsert_enterprises
-- All changed enterprises in one statement, so that tokens may be exchanged (enterprises_name2_key is checked at its end).
-- Locks: the rows. Index: enterprises_pkey.
insert into enterprises (number, name, name2, secret, bot_token, timezone, language, final, active, integrations_config)
select r.number, r.name, r.name2, r.secret, r.bot_token, r.timezone, r.language, r.final, r.active, r.integrations_config
from json_to_recordset($1::json) as r (
    number text, name text, name2 text, secret text, bot_token text, timezone text, language text, final text, active boolean,
    integrations_config jsonb
)
on conflict (number) do update set
    name = excluded.name, name2 = excluded.name2, secret = excluded.secret, bot_token = excluded.bot_token,
    timezone = excluded.timezone, language = excluded.language, final = excluded.final, active = excluded.active,
    integrations_config = excluded.integrations_config, updated_at = now()

-- name: set_integration
-- One integration, whatever else happens to the others at the same time; what is no object becomes one.
-- Locks: the row, for which a second change waits and then sees the first. Index: enterprises_pkey.
update enterprises set
    integrations_config = case when jsonb_typeof(integrations_config) = 'object' then integrations_config else '{}' end || $2::jsonb,
    updated_at = now()
where number = $1::text
returning number

-- name: drop_lines
-- Locks: the rows deleted. Index: lines_pkey.
delete from lines where enterprise_number = $1::text

-- name: add_lines
-- Locks: inserted rows. Index: lines_pkey.
insert into lines (enterprise_number, line_id, name, operator, incoming_transform)
select $1::text, r.line_id, r.name, r.operator, r.incoming_transform
from json_to_recordset($2::json) as r (line_id text, name text, operator text, incoming_transform text)

-- name: drop_managers
-- Locks: the rows deleted. Index: managers_pkey.
delete from managers where enterprise_number = $1::text

-- name: add_managers
-- Locks: inserted rows. Index: managers_pkey.
insert into managers (enterprise_number, extension, last_name, first_name, middle_name, personal_phone)
select $1::text, r.extension, r.last_name, r.first_name, r.middle_name, r.personal_phone
from json_to_recordset($2::json) as r (extension text, last_name text, first_name text, middle_name text, personal_phone text)

-- name: add_subscribers
-- Locks: inserted rows. Index: telegram_users_pkey.
insert into telegram_users (enterprise_number, bot_token, tg_id, subscribed_at)
select $1::text, $2::text, s.tg_id, now() from unnest($3::bigint[]) as s (tg_id)
on conflict do nothing

-- name: renew_bot_token
-- A bot whose token was renewed is the same bot: its messages and its subscribers stay.
-- Locks: the bot's row, the subscriptions. Indexes: bots_pkey, telegram_users_pkey.
with bot as (
    insert into bots (bot_id, bot_token) values ($2::text, $4::text)
    on conflict (bot_id) do update set bot_token = excluded.bot_token
)
update telegram_users u set bot_token = $4::text
where u.enterprise_number = $1::text and u.bot_token = $3::text
    and not exists (
        select from telegram_users n where n.enterprise_number = $1::text and n.bot_token = $4::text and n.tg_id = u.tg_id
    )
