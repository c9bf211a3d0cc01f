-- The time, and how much is live.

-- The time: the database's own, but for tests, which bring theirs.
CREATE FUNCTION time_us(given_us bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT coalesce(given_us, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
$$;

-- The same for who is about to write: its transaction has a number before it has the time. See `look_low`.
CREATE FUNCTION writing_us(given_us bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT CASE WHEN pg_current_xact_id() IS NOT NULL THEN time_us(given_us) END
$$;

-- The keys of counters: a connection's process number in the upper half, and in the lower one a number that falls each
-- time that it begins a new row. (Those below 2^32 are of older releases, or 0: what connections counted that are gone.)
CREATE FUNCTION counter_group(backend bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN backend < 4294967296 THEN backend ELSE backend | 4294967295 END
$$;

-- Each connection's own row. Jumps from one to the next by the index: while somebody holds an old snapshot, there are
-- many dead rows between them.
CREATE FUNCTION live_counters() RETURNS SETOF counters LANGUAGE sql AS $$
    WITH RECURSIVE live AS (
        (SELECT * FROM counters ORDER BY backend LIMIT 1)
        UNION ALL
        SELECT next.* FROM live CROSS JOIN LATERAL (
            SELECT * FROM counters WHERE counters.backend > counter_group(live.backend) ORDER BY backend LIMIT 1
        ) AS next
    )
    SELECT * FROM live
$$;

-- Count in this connection's row. Every version of a row that some snapshot may need lengthens the way to the newest
-- one: after a hundred or so a new row goes on.
CREATE FUNCTION tally(queued bigint, ready bigint, held bigint, claimed bigint, dead bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    first bigint := pg_backend_pid()::bigint << 32;
    mine bigint := (SELECT backend FROM counters WHERE backend BETWEEN first AND first | 4294967295 ORDER BY backend LIMIT 1);
BEGIN
    IF random() < 0.99 THEN
        UPDATE counters SET queued_events = queued_events + queued, ready_runs = ready_runs + ready,
            held_runs = held_runs + held, claimed_runs = claimed_runs + claimed, dead_runs = dead_runs + dead
        WHERE backend = mine;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    WITH former AS (DELETE FROM counters WHERE backend = mine RETURNING *)
    INSERT INTO counters
        SELECT coalesce(mine, first + 4294967296) - 1, queued + coalesce(sum(queued_events), 0),
            ready + coalesce(sum(ready_runs), 0), held + coalesce(sum(held_runs), 0),
            claimed + coalesce(sum(claimed_runs), 0), dead + coalesce(sum(dead_runs), 0)
        FROM former;
END
$$;

-- A run changed its state.
CREATE FUNCTION moved(before text, after text) RETURNS void LANGUAGE sql AS $$
    SELECT tally(0, (after = 'ready')::int - (before = 'ready')::int, (after = 'held')::int - (before = 'held')::int,
        (after = 'claimed')::int - (before = 'claimed')::int, (after = 'dead')::int - (before = 'dead')::int)
$$;

-- How much is live or dead.
CREATE FUNCTION count_backlog(
    OUT queued_events bigint, OUT ready_runs bigint, OUT held_runs bigint, OUT claimed_runs bigint, OUT dead_runs bigint
) LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce(sum(queued_events), 0)::bigint, coalesce(sum(ready_runs), 0)::bigint,
        coalesce(sum(held_runs), 0)::bigint, coalesce(sum(claimed_runs), 0)::bigint,
        coalesce(sum(dead_runs), 0)::bigint
    FROM live_counters()
$$;
