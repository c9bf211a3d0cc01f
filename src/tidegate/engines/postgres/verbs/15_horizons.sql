-- How far the queues are empty for good.
--
-- While somebody holds an old snapshot, what was claimed and done leaves dead entries in the indexes of the queues, and
-- who looks for the oldest entry steps over all of them. So claims begin where nothing older can be any more.

-- What stands in a queue is numbered, or timed, when it is written: nothing new comes before what is newest now, except
-- from transactions that run already, and these have lower numbers than this one. The answer has its number, the lowest
-- of one that runs, and what is newest; and the least that there is from the given places on, as one snapshot shows it.
-- Once `oldest_running` has reached an `own_number` that was noted earlier, nothing can come before what was newest then.
CREATE FUNCTION look_low(
    given_us bigint, low_seq bigint, low_lease_us bigint, low_names text[], low_dues bigint[], everything boolean
) RETURNS TABLE (
    oldest_running bigint, own_number bigint, newest_seq bigint, newest_us bigint, least_seq bigint,
    least_lease_us bigint, names text[], least_dues bigint[]
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    now_us bigint := time_us(given_us);
    newest bigint := (SELECT last_value FROM event_seqs);
    own bigint := pg_current_xact_id()::text::bigint;  -- after these: who has a higher one takes times and numbers later
BEGIN
    IF everything THEN
        -- An older release does not note processors.
        PERFORM note_processors(ARRAY(
            WITH RECURSIVE found (name) AS (
                (SELECT processor FROM runs WHERE due_us IS NOT NULL ORDER BY processor LIMIT 1)
                UNION ALL
                SELECT (SELECT processor FROM runs WHERE due_us IS NOT NULL AND processor > name ORDER BY processor LIMIT 1)
                FROM found WHERE name IS NOT NULL
            )
            SELECT name FROM found WHERE name IS NOT NULL
        ));
    END IF;
    RETURN QUERY
    SELECT now.oldest, own, newest, now_us,
        (SELECT seq FROM event_states WHERE due_us = 0 AND seq >= low_seq ORDER BY seq LIMIT 1),
        (SELECT due_us FROM event_states WHERE due_us >= greatest(low_lease_us, 1) AND due_us <= now_us
            ORDER BY due_us LIMIT 1),
        array_agg(queue.name), array_agg(queue.least)
    FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest) AS now
    LEFT JOIN LATERAL (
        SELECT low.name, (
            SELECT due_us FROM runs
            WHERE processor = low.name AND due_us IS NOT NULL AND due_us >= low.due_us AND due_us <= now_us
            ORDER BY due_us LIMIT 1
        ) AS least
        FROM lows(low_names, low_dues) AS low
    ) AS queue ON true
    GROUP BY now.oldest;
END
$$;

-- All processors, each with the time before which none of its runs is due.
CREATE FUNCTION lows(low_names text[], low_dues bigint[]) RETURNS TABLE (name text, due_us bigint) LANGUAGE sql AS $$
    SELECT processors.name, coalesce(given.due_us, 0) FROM processors
    LEFT JOIN unnest(low_names, low_dues) AS given (name, due_us) ON given.name = processors.name
$$;

-- These processors have runs.
CREATE FUNCTION note_processors(given text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO processors
        SELECT DISTINCT noted.name FROM unnest(given) AS noted (name)
        WHERE NOT EXISTS (SELECT FROM processors WHERE processors.name = noted.name) ORDER BY 1
        ON CONFLICT DO NOTHING
$$;
