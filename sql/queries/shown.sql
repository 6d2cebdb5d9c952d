-- What was shown to whom.

-- name: recipients
-- Living subscriptions to the bot that the enterprise has now, the oldest first.
-- Locks: none. Indexes: enterprises_pkey, telegram_users_pkey.
select u.enterprise_number, u.bot_token, u.tg_id, u.subscribed_at
from enterprises n
join telegram_users u on u.enterprise_number = n.number and u.bot_token = n.bot_token
where n.number = $1::text and u.dead_at is null
order by u.subscribed_at, u.tg_id

-- name: shown_of_calls
-- Locks: none. Indexes: telegram_messages_pkey, bots_pkey.
select m.enterprise_number, m.call_id, b.bot_token, m.chat_id, m.message_id, m.stage, m.text, m.text_hash, m.event_id, m.sent_at, m.updated_at,
    m.superseded_message_id
from telegram_messages m
join bots b on b.bot_id = m.bot_id
where m.enterprise_number = $1::text and m.call_id = any($2::bigint[])
order by m.call_id, b.bot_token, m.chat_id

-- name: record_shown
-- The row of a message, and with $13 the mark on the events it takes in. One round trip and one commit.
-- Locks: the message's row, then the events newly marked (see commit_step). Indexes: telegram_messages_pkey, call_events_call, bots_pkey.
with bot as (
    insert into bots (bot_id, bot_token) values ($3::text, $4::text) on conflict do nothing
), message as (
    insert into telegram_messages (
        enterprise_number, call_id, bot_id, chat_id, message_id, stage, text, text_hash, event_id, sent_at, updated_at,
        superseded_message_id
    )
    values ($1::text, $2::bigint, $3::text, $5::bigint, $6::bigint, $7::smallint, $8::text, $9::bytea, $10::bigint, $11::timestamptz,
        $12::timestamptz, $14::bigint)
    on conflict (enterprise_number, call_id, bot_id, chat_id) do update set
        message_id = excluded.message_id, stage = excluded.stage, text = excluded.text, text_hash = excluded.text_hash,
        event_id = excluded.event_id, sent_at = excluded.sent_at, updated_at = excluded.updated_at,
        superseded_message_id = excluded.superseded_message_id
)
update call_events e
set telegram_sent = true
where $13::boolean and e.enterprise_number = $1::text and e.call_id = $2::bigint and e.id <= $10::bigint and not e.telegram_sent
