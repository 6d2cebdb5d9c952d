-- The log of events, the calls made of it, what was shown of them to whom, and the configuration.
--
-- Every key carries the enterprise: a UniqueId is unique on one host only. Tables of events and messages have no foreign key to
-- `enterprises`: what was accepted stays, whatever becomes of the configuration, and the hot path pays for no look-up.
-- All times are timestamptz. Columns that the user's guide names keep their names.

create table enterprises (
    number text primary key check (number <> ''),
    name text not null,
    -- The token that the hosts send.
    name2 text not null check (name2 <> ''),
    secret text not null,
    bot_token text not null,
    timezone text not null,
    language text not null,
    final text not null,
    active boolean not null,
    integrations_config jsonb not null,
    updated_at timestamptz not null default now(),
    -- Checked at the end of a statement, so that one file can exchange the tokens of two enterprises.
    constraint enterprises_name2_key unique (name2) deferrable initially immediate
);

create table lines (
    enterprise_number text not null references enterprises on delete cascade,
    line_id text not null,
    name text not null,
    operator text not null,
    incoming_transform text not null,
    primary key (enterprise_number, line_id)
);

create table managers (
    enterprise_number text not null references enterprises on delete cascade,
    extension text not null,
    last_name text not null,
    first_name text not null,
    middle_name text not null,
    personal_phone text not null,
    primary key (enterprise_number, extension)
);

-- A subscription is living while dead_at is null. One bot may serve several enterprises, one chat may follow several bots.
create table telegram_users (
    enterprise_number text not null references enterprises on delete cascade,
    bot_token text not null,
    tg_id bigint not null,
    subscribed_at timestamptz not null,
    dead_at timestamptz,
    dead_reason text not null default '',
    primary key (enterprise_number, bot_token, tg_id)
);
-- What a bot asks when a chat writes to it, or when Telegram says that a chat is gone.
create index telegram_users_chat on telegram_users (bot_token, tg_id);

-- Codes of invitations are kept as SHA-256 only: whoever reads the table cannot subscribe with it.
create table invites (
    code_hash bytea primary key,
    enterprise_number text not null references enterprises on delete cascade,
    expires_at timestamptz not null,
    used_at timestamptz,
    used_by bigint
);

-- Each event is written once and updated once or twice (understood; shown). What that costs is mostly index entries, so there are few:
-- an event is either in call_events_once or in call_events_channel, and the time of arrival has a BRIN index, which costs next to nothing
-- because the table is written in the order of that time. The room left on each page (fillfactor) takes the second update (telegram_sent, which no index
-- mentions) without touching an index again (a HOT update).
-- Vacuum waits for a few thousand rows: until its first run the planner takes the table for ten pages, afterwards for what it is, and plans that were
-- made for a table of two pages would read the whole of it while it grows.
create table call_events (
    id bigint generated always as identity primary key,
    enterprise_number text not null,
    unique_id text not null,
    event_type text not null,
    event_timestamp timestamptz not null,
    data_source text not null,
    -- json, not jsonb: the body stays exactly as posted, and jsonb refuses the escape \u0000.
    raw_data json not null,
    body_hash bytea not null,
    processed boolean not null default false,
    call_id bigint,
    telegram_sent boolean not null default false,
    error text not null default ''
) with (
    fillfactor = 85, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 5000,
    autovacuum_analyze_threshold = 5000, autovacuum_analyze_scale_factor = 0.02, vacuum_truncate = off
);

-- What a host repeats is stored once. Channel events are not in here: a channel may enter a bridge again with the same body.
-- The order of the columns lets the index also answer "which events has this UniqueId".
create unique index call_events_once on call_events (enterprise_number, unique_id, event_type, body_hash)
    where event_type in ('start', 'dial', 'hangup');
create index call_events_channel on call_events (enterprise_number, unique_id)
    where event_type not in ('start', 'dial', 'hangup') and unique_id <> '';
create index call_events_call on call_events (enterprise_number, call_id) where call_id is not null;
create index call_events_unprocessed on call_events (enterprise_number, id) where not processed;
create index call_events_age on call_events using brin (event_timestamp) with (pages_per_range = 32, autosummarize = on);

-- Groups of events that live in memory now: what a restart replays. As small as the number of open calls. Its pages are kept when it is
-- empty (vacuum_truncate): plans made for a table of no pages would read the whole of it in the next rush.
create table live_calls (
    enterprise_number text not null,
    call_id bigint not null,
    primary key (enterprise_number, call_id)
) with (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = off);

create table calls (
    enterprise_number text not null,
    -- The id of the first event of the call.
    call_id bigint not null,
    -- The name of the recording link: made with the row, kept by every later correction.
    uuid uuid not null default gen_random_uuid() unique,
    unique_id text not null,
    phone text not null,
    extension text not null,
    call_type smallint not null,
    call_status smallint not null,
    date_received timestamptz not null,
    date_end timestamptz,
    -- bigint: the times of a broken host clock may lie millennia apart.
    duration bigint,
    record_url text,
    trunk text not null,
    talk_seconds bigint,
    transfers text not null,
    closed_by text not null,
    data_source text not null,
    primary key (enterprise_number, call_id)
);
create index calls_unique_id on calls (enterprise_number, unique_id);
create index calls_newest on calls (enterprise_number, date_received desc, call_id desc);

-- The token of every bot that ever sent a message, once; telegram_messages names the bot by its id (the digits before the colon).
-- A token that was renewed replaces the old one here, and the messages of the bot stay editable.
create table bots (
    bot_id text primary key,
    bot_token text not null
);

-- One row for each call and chat: the living message and what it says. message_id null: there is none.
create table telegram_messages (
    enterprise_number text not null,
    call_id bigint not null,
    bot_id text not null,
    chat_id bigint not null,
    message_id bigint,
    stage smallint not null,
    text text not null,
    text_hash bytea not null,
    event_id bigint not null,
    sent_at timestamptz not null,
    updated_at timestamptz not null,
    -- The message that message_id has replaced, while its deletion is owed.
    superseded_message_id bigint,
    primary key (enterprise_number, call_id, bot_id, chat_id)
) with (fillfactor = 70, autovacuum_vacuum_threshold = 2000, autovacuum_analyze_threshold = 2000);
create index telegram_messages_age on telegram_messages using brin (updated_at) with (pages_per_range = 32, autosummarize = on);

-- What was refused at the door, the newest 1,000. Tokens are masked before they come here.
create table rejected_events (
    id bigint generated always as identity primary key,
    event_type text not null,
    token text not null,
    raw_body text not null,
    reason text not null,
    received_at timestamptz not null
);

-- The guide's log of webhooks. The token is shown by its last four digits only.
create view asterisk_logs as
    select e.id, e.event_timestamp as "timestamp", e.unique_id,
           case when length(n.name2) > 4 then '***' || right(n.name2, 4) else '***' end as token,
           e.event_type, e.raw_data
    from call_events e
    left join enterprises n on n.number = e.enterprise_number;
