-- Waking up. 1785684584 is 'jobh'; 2 is "wake me": writers send a NOTIFY while somebody holds it exclusively.

-- name: ask_to_be_woken
select pg_try_advisory_lock(1785684584, 2)
