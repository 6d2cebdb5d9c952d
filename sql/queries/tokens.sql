-- Tokens of CRMs that are renewed by using them up.

-- name: crm_tokens
-- Locks: none. Index: crm_tokens_pkey.
select tokens::text as tokens from crm_tokens where account = $1::text

-- name: keep_crm_tokens
-- Only what is newer: a repetition that comes late must not bring back tokens that are used up.
-- Locks: the row, for which a second writer waits and then sees the first. Index: crm_tokens_pkey.
insert into crm_tokens (account, serial, tokens) values ($1::text, $2::bigint, $3::jsonb)
on conflict (account) do update set serial = excluded.serial, tokens = excluded.tokens, updated_at = now()
    where crm_tokens.serial < excluded.serial
