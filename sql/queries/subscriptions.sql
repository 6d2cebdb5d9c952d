-- Subscriptions. Whatever changes them tells the running gateways in the same transaction (triggers of migration 0002), which then read
-- the recipients again.

-- name: bury_recipient
-- Locks: the subscriptions of the chat. Index: telegram_users_chat.
update telegram_users set dead_at = $4::timestamptz, dead_reason = $3::text
where bot_token = $1::text and tg_id = $2::bigint and dead_at is null

-- name: unbury_recipient
-- Takes back every burial since $3; who unsubscribed meanwhile stays away.
-- Locks: the dead subscriptions of the chat. Index: telegram_users_chat.
update telegram_users set dead_at = null, dead_reason = '', subscribed_at = $4::timestamptz
where bot_token = $1::text and tg_id = $2::bigint and dead_at >= $3::timestamptz and dead_reason <> $5::text

-- name: copy_subscriptions
-- The first half of moving a chat: subscriptions of the new chat; living if either was.
-- Locks: the subscriptions of both chats. Index: telegram_users_chat.
insert into telegram_users as u (enterprise_number, bot_token, tg_id, subscribed_at, dead_at, dead_reason)
select enterprise_number, bot_token, $3::bigint, subscribed_at, dead_at, dead_reason
from telegram_users
where bot_token = $1::text and tg_id = $2::bigint
on conflict (enterprise_number, bot_token, tg_id) do update set
    subscribed_at = least(u.subscribed_at, excluded.subscribed_at),
    dead_at = case when excluded.dead_at is null then null else u.dead_at end,
    dead_reason = case when excluded.dead_at is null then '' else u.dead_reason end

-- name: drop_subscriptions
-- The second half. Locks: the rows deleted. Index: telegram_users_chat.
delete from telegram_users where bot_token = $1::text and tg_id = $2::bigint

-- name: move_messages
-- Messages of the chat before it moved: what they said stays known, but their ids mean nothing in the new chat.
-- Locks: the rows changed. No index: a chat moves a few times in a year, and reading the table once is cheaper than keeping one more.
update telegram_messages m
set chat_id = $3::bigint, message_id = null, superseded_message_id = null
where m.bot_id = $1::text and m.chat_id = $2::bigint
    and not exists (
        select from telegram_messages n
        where n.enterprise_number = m.enterprise_number and n.call_id = m.call_id and n.bot_id = m.bot_id and n.chat_id = $3::bigint
    )

-- name: drop_messages
-- Messages whose call had one in the new chat already. Locks: the rows deleted. No index: as move_messages.
delete from telegram_messages where bot_id = $1::text and chat_id = $2::bigint

-- name: create_invite
-- Locks: the row. Index: invites_pkey.
insert into invites (code_hash, enterprise_number, expires_at) values ($1::bytea, $2::text, $3::timestamptz)
on conflict do nothing

-- name: redeem_invite
-- Takes an invitation and subscribes, or returns nothing. Taking it again by the same chat while it is subscribed changes nothing and
-- succeeds: so a repeat after a lost answer is safe.
-- Locks: the row of the invitation (two chats with one code queue here and the second finds it used), then the subscription.
-- Indexes: invites_pkey, enterprises_pkey, telegram_users_pkey.
with invite as (
    update invites i set used_at = coalesce(i.used_at, $4::timestamptz), used_by = $3::bigint
    from enterprises n
    where i.code_hash = $2::bytea and n.number = i.enterprise_number and n.bot_token = $1::text and i.expires_at > $4::timestamptz
        and (i.used_at is null or i.used_by = $3::bigint and exists (
            select from telegram_users s
            where s.enterprise_number = i.enterprise_number and s.bot_token = $1::text and s.tg_id = $3::bigint and s.dead_at is null
        ))
    returning i.enterprise_number
), subscribed as (
    insert into telegram_users as u (enterprise_number, bot_token, tg_id, subscribed_at)
    select enterprise_number, $1::text, $3::bigint, $4::timestamptz from invite
    on conflict (enterprise_number, bot_token, tg_id) do update set
        subscribed_at = case when u.dead_at is null then u.subscribed_at else excluded.subscribed_at end,
        dead_at = null, dead_reason = ''
)
select enterprise_number from invite

-- name: revive_recipient
-- Locks: the dead subscriptions of the chat. Index: telegram_users_chat.
with revived as (
    update telegram_users set dead_at = null, dead_reason = '', subscribed_at = $3::timestamptz
    where bot_token = $1::text and tg_id = $2::bigint and dead_at is not null
    returning enterprise_number
)
select (select count(*) from revived) as revived,
    exists (select from telegram_users where bot_token = $1::text and tg_id = $2::bigint and dead_at is null) as living

-- name: unsubscribe
-- Locks: the living subscriptions of the chat. Index: telegram_users_chat.
update telegram_users set dead_at = now(), dead_reason = $3::text
where bot_token = $1::text and tg_id = $2::bigint and dead_at is null
returning enterprise_number

-- name: subscription_status
-- Locks: none. Index: telegram_users_chat.
select u.enterprise_number
from telegram_users u
join enterprises n on n.number = u.enterprise_number and n.bot_token = u.bot_token
where u.bot_token = $1::text and u.tg_id = $2::bigint and u.dead_at is null
order by u.subscribed_at desc, u.enterprise_number collate "C"
limit 1
