-- Tokens that CRMs give out and that are good once: what is kept here is the only copy. They are no configuration, which is replaced whole by
-- every load. `account`: a digest of what the tokens belong to (gateway/crm/bitrix24_tokens.py). A handful of rows; one that is not used any
-- more is worth nothing to anybody after half a year.
create table crm_tokens (
    account text primary key,
    serial bigint not null,
    tokens jsonb not null,
    updated_at timestamptz not null default now()
);
