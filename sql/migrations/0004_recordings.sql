-- The recording of a call becomes known after its end: `calls.record_url`, written by whoever makes recordings, with whatever tool.

alter table crm_outbox drop constraint crm_outbox_kind_check;
alter table crm_outbox add constraint crm_outbox_kind_check check (kind in ('dial', 'hangup', 'recording'));

-- What a gateway that begins to listen looks for. As small as the number of recorded calls.
create index calls_recorded on calls (date_received) where record_url <> '';

-- The running gateways hear of it. The payload is the number of the enterprise, a space, and the id of the call.
create function tell_gateways_of_recording() returns trigger language plpgsql as $$
begin
    perform pg_notify('gateway_recordings', new.enterprise_number || ' ' || new.call_id);
    return null;
end
$$;
create trigger calls_tell_recorded after insert on calls
    for each row when (new.record_url <> '') execute function tell_gateways_of_recording();
create trigger calls_tell_recording after update of record_url on calls
    for each row when (new.record_url <> '' and new.record_url is distinct from old.record_url)
    execute function tell_gateways_of_recording();
