-- jobhooks_capture.skips_restored_row(): whether a row is not recorded, because it comes from a dump that is being restored.
--
-- For a schema that was restored first, with its triggers, and data that come later. Such a row is not a change; its number could
-- also be one that a change of the dump has, and then either of them could not be restored. Numbers of sequences come last in a
-- dump. If a dump without them was restored, the sequence is set here, so that writers do not fail.
create or replace function jobhooks_capture.skips_restored_row()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Without its rows jobhooks delivers nothing. jobhooks install makes them, and begins with the changes after that.
    if not exists (select from jobhooks.installation) or not exists (select from jobhooks.cursor) or jobhooks.is_restoring() then
        return true;
    end if;
    if jobhooks.greatest_change_id() > coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0) then
        if current_setting('check_function_bodies') = 'off' then
            return true;
        end if;
        perform jobhooks.advance_sequence();
    end if;
    return false;
end
$$;

comment on function jobhooks_capture.skips_restored_row() is
'Whether a row is not recorded, because it comes from a dump that is being restored';
