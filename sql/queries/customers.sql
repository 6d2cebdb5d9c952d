-- Who has which number. The counts are kept by the triggers of migration 0002.

-- name: customer
-- `phones`: of all rows of the same person.
-- Locks: none. Indexes: customers_pkey, customers_person.
select c.enterprise_number, c.phone_e164, c.first_seen_at, c.last_seen_at, c.calls_total_in, c.calls_total_out, c.calls_answered_in,
    c.calls_answered_out, c.calls_missed_in, c.calls_missed_out, c.last_call_at, c.last_call_direction, c.last_call_status,
    c.last_success_at, c.last_agent_internal, c.last_line, c.last_name, c.first_name, c.middle_name, c.enterprise_name, c.name_source,
    c.external_id, c.is_company, c.named_at,
    array(
        select p.phone_e164 collate "C" from customers p
        where p.enterprise_number = c.enterprise_number and p.meta ->> 'person_uid' = c.meta ->> 'person_uid' and p.meta ? 'person_uid'
        union
        select c.phone_e164 collate "C"
        order by 1
    ) as phones
from customers c
where c.enterprise_number = $1::text and c.phone_e164 = $2::text

-- name: name_customer
-- The names that a CRM gave for a number ($2), and for the other numbers of the same person ($3) that are known here; see
-- gateway.ports.NamedCustomer for who replaces whom, sql.crm_rows.Naming for the values. Returns how many rows changed; that the names
-- were said again is no change.
-- A row that is new is inserted without looking for a conflict first: only then its calls are counted (trigger customers_counted).
-- Locks: the customers named, first of all and in the order of their keys, so that it is decided on what they are when nobody else writes
-- them; then those unlinked. A step that writes the same customers may meet it the other way round; who loses is tried again.
-- Indexes: customers_pkey, customers_person.
with wanted as materialized (
    select $4::text as last_name, $5::text as first_name, $6::text as middle_name, $7::text as enterprise_name, $8::text as name_source,
        $9::text as external_id, $10::boolean as is_company, $11::text as person_uid, $12::text as id_key, $13::boolean as knows_phones,
        $14::boolean as is_primary, $15::timestamptz as named_at
), known as materialized (
    select c.*, c.phone_e164 = $2::text as is_own,
        c.last_name || c.first_name || c.middle_name || c.enterprise_name = ''
        or case
            -- A name without a source was put in by hand: it gives way only where the CRM was asked for that very number.
            when w.is_primary then (c.name_source <> '' or c.phone_e164 = $2::text)
                and (c.name_source <> w.name_source or c.named_at is null or c.named_at <= w.named_at)
            else c.name_source = w.name_source and c.name_source <> '' and (c.named_at is null or c.named_at <= w.named_at)
        end as takes
    from customers c
    cross join wanted w
    where c.enterprise_number = $1::text and c.phone_e164 = any($3::text[] || $2::text)
    order by c.phone_e164
    for update of c
), verdict as materialized (
    select coalesce((select k.takes from known k where k.is_own), true) as takes
), added as (
    insert into customers as c (
        enterprise_number, phone_e164, last_name, first_name, middle_name, enterprise_name, name_source, external_id, is_company, named_at, meta
    )
    select $1::text, $2::text, w.last_name, w.first_name, w.middle_name, w.enterprise_name, w.name_source, w.external_id, w.is_company,
        w.named_at, customer_meta('{}', w.id_key, w.external_id, w.person_uid)
    from wanted w
    where not exists (select from known k where k.is_own)
    on conflict (enterprise_number, phone_e164) do update set
        last_name = excluded.last_name, first_name = excluded.first_name, middle_name = excluded.middle_name,
        enterprise_name = excluded.enterprise_name, name_source = excluded.name_source, external_id = excluded.external_id,
        is_company = excluded.is_company, named_at = excluded.named_at, meta = c.meta || excluded.meta
    where $14::boolean or c.last_name || c.first_name || c.middle_name || c.enterprise_name = ''
    returning true as is_changed
), named as (
    update customers c set
        last_name = w.last_name, first_name = w.first_name, middle_name = w.middle_name, enterprise_name = w.enterprise_name,
        name_source = w.name_source, external_id = w.external_id, is_company = w.is_company, named_at = w.named_at,
        meta = customer_meta(c.meta, w.id_key, w.external_id, w.person_uid)
    from wanted w, verdict v, known k
    where c.enterprise_number = $1::text and c.phone_e164 = k.phone_e164 and k.takes and (k.is_own or v.takes and w.person_uid <> '')
    returning (c.last_name, c.first_name, c.middle_name, c.enterprise_name, c.name_source, c.external_id, c.is_company, c.meta)
        is distinct from (k.last_name, k.first_name, k.middle_name, k.enterprise_name, k.name_source, k.external_id, k.is_company, k.meta)
        as is_changed
), noted as (
    update customers c set meta = customer_meta(c.meta, w.id_key, w.external_id, '')
    from wanted w, known k
    where c.enterprise_number = $1::text and c.phone_e164 = k.phone_e164 and k.is_own and not k.takes and w.id_key <> ''
    returning c.meta is distinct from k.meta as is_changed
), unlinked as (
    update customers c set meta = (c.meta - 'person_uid') #- array['ids', w.id_key]
    from wanted w, verdict v
    where w.person_uid <> '' and w.knows_phones and v.takes
        and c.enterprise_number = $1::text and c.meta ->> 'person_uid' = $11::text and c.meta ? 'person_uid'
        and c.phone_e164 <> all($3::text[] || $2::text)
    returning true as is_changed
)
select count(*) filter (where s.is_changed) as changed
from (
    select is_changed from added
    union all select is_changed from named
    union all select is_changed from noted
    union all select is_changed from unlinked
) as s
