-- Mending and tidying: dead runs put back or given up, finished events forgotten.

-- Put dead runs back, in the order of the list; how many.
CREATE FUNCTION redrive(given_us bigint, ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_us bigint := writing_us(given_us);
    done bigint := 0;
    touched bigint[] := '{}';
    it record;
    live record;
BEGIN
    PERFORM hold_lanes(ARRAY(SELECT lane FROM runs WHERE id = ANY (ids)));
    PERFORM 1 FROM runs WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    FOR it IN SELECT id, lane FROM runs WHERE id = ANY (ids) AND state = 'dead' ORDER BY id LOOP
        done := done + 1;
        SELECT NULL::bigint AS claimed, NULL::bigint AS pending INTO live;
        IF it.lane IS NOT NULL THEN
            live := live_on(it.lane);
        END IF;
        IF live.pending IS NOT NULL THEN
            PERFORM merge_run(now_us, it.id, live.pending);
            touched := touched || live.pending;
            CONTINUE;
        END IF;
        UPDATE runs SET state = CASE WHEN live.claimed IS NULL THEN 'ready' ELSE 'held' END,
            due_us = CASE WHEN live.claimed IS NULL THEN now_us END,
            holds_lane = it.lane IS NOT NULL AND live.claimed IS NULL,
            failures = 0, expirations = 0, changed_us = now_us, finished_us = NULL
        WHERE id = it.id;
        PERFORM moved('dead', CASE WHEN live.claimed IS NULL THEN 'ready' ELSE 'held' END);
        touched := touched || it.id;
    END LOOP;
    PERFORM conclude(now_us, touched);
    RETURN done;
END
$$;

-- Give up dead runs; how many.
CREATE FUNCTION discard(given_us bigint, ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_us bigint := time_us(given_us);
    done bigint;
BEGIN
    PERFORM 1 FROM runs WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    UPDATE runs SET state = 'discarded', changed_us = now_us, finished_us = now_us
    WHERE id = ANY (ids) AND state = 'dead';
    GET DIAGNOSTICS done = ROW_COUNT;
    PERFORM tally(0, 0, 0, 0, -done);
    PERFORM conclude(now_us, ids);
    RETURN done;
END
$$;

-- Forget events that were final before the time, those that finished first before the others; how many, and when the
-- last of them was final. A run goes with the last of its events, and what was merged into it goes with it. Who goes on
-- says with `from_us` where: what is forgotten leaves dead entries in the index.
CREATE FUNCTION prune(before_us bigint, from_us bigint, most bigint, OUT done bigint, OUT last_us bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    seqs bigint[];
    doomed bigint[];
    written bigint[];
BEGIN
    -- These functions are in use: see `tidegate.postgres.schema`.
    UPDATE verb_schemas SET seen_at = now() WHERE name = current_schema() AND seen_at < now() - interval '1 day';
    SELECT coalesce(array_agg(seq), '{}'), max(finished_us) INTO seqs, last_us FROM (
        SELECT seq, finished_us FROM event_states
        WHERE finished_us >= from_us AND finished_us < before_us AND finished_us IS NOT NULL AND state <> 'dead'
            -- A dead run of a lane, once redriven, needs the newest event that was applied there.
            AND NOT EXISTS (
                SELECT FROM event_runs JOIN runs ON runs.id = event_runs.run_id AND runs.state IS NOT DISTINCT FROM 'applied'
                JOIN runs AS dead ON dead.lane = runs.lane AND dead.state = 'dead'
                WHERE event_runs.event_seq = event_states.seq AND runs.newest_seq = event_states.seq AND NOT EXISTS (
                    SELECT FROM runs AS newer WHERE newer.lane = runs.lane AND newer.state = 'applied'
                        AND newer.newest_seq > runs.newest_seq
                )
            )
        ORDER BY finished_us, seq LIMIT most FOR UPDATE SKIP LOCKED
    ) AS found;
    WITH unlinked AS (
        DELETE FROM event_runs WHERE event_seq = ANY (seqs) RETURNING run_id
    ), counted AS (
        SELECT run_id, count(*) AS gone FROM unlinked GROUP BY run_id
    ), kept AS (
        UPDATE runs SET event_count = event_count - gone FROM counted WHERE id = run_id AND event_count > gone
        RETURNING id
    )
    SELECT coalesce(array_agg(run_id), '{}') INTO doomed FROM counted WHERE run_id NOT IN (SELECT id FROM kept);
    DELETE FROM events WHERE seq = ANY (seqs);
    DELETE FROM event_states WHERE seq = ANY (seqs);
    WITH RECURSIVE merged (id) AS (
        SELECT unnest(doomed)
        UNION
        SELECT runs.id FROM merged JOIN runs ON runs.superseded_by = merged.id
    )
    SELECT coalesce(array_agg(id), '{}') INTO doomed FROM merged;
    WITH gone AS (
        DELETE FROM writes WHERE run_id = ANY (doomed) RETURNING entity_id
    )
    SELECT array_agg(DISTINCT entity_id) INTO written FROM gone;
    DELETE FROM attempts WHERE run_id = ANY (doomed);
    DELETE FROM runs WHERE id = ANY (doomed);
    PERFORM forget_entities(written);
    done := cardinality(seqs);
END
$$;

-- Nobody writes the entity any more, nothing tells of it, and no live claim is older than its last write.
CREATE FUNCTION forget_entities(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SELECT array_agg(id) INTO ids FROM (
        SELECT id FROM entities WHERE id = ANY (ids) ORDER BY blueprint, identifier FOR UPDATE SKIP LOCKED
    ) AS idle;
    DELETE FROM entities WHERE id = ANY (ids)
        AND NOT EXISTS (SELECT FROM owners WHERE entity_id = entities.id)
        AND NOT EXISTS (SELECT FROM writes WHERE entity_id = entities.id)
        AND NOT EXISTS (SELECT FROM runs WHERE state = 'claimed' AND token < entities.stamp);
END
$$;

-- Add up the counts of connections that are gone.
CREATE FUNCTION gather_counters() RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH gone AS (
        DELETE FROM counters WHERE backend IN (
            SELECT backend FROM live_counters() WHERE backend <> 0
                AND CASE WHEN backend < 4294967296 THEN backend ELSE backend >> 32 END
                    NOT IN (SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL)
        )
        RETURNING *
    )
    INSERT INTO counters
        SELECT 0, sum(queued_events), sum(ready_runs), sum(held_runs), sum(claimed_runs), sum(dead_runs)
        FROM gone HAVING count(*) > 0
    ON CONFLICT (backend) DO UPDATE SET queued_events = counters.queued_events + excluded.queued_events,
        ready_runs = counters.ready_runs + excluded.ready_runs, held_runs = counters.held_runs + excluded.held_runs,
        claimed_runs = counters.claimed_runs + excluded.claimed_runs, dead_runs = counters.dead_runs + excluded.dead_runs
$$;

-- Keep a sample of what a process did, and forget those whose time is over.
CREATE FUNCTION keep_sample(given_us bigint, kept_us bigint, sample bytea) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_us bigint := time_us(given_us);
BEGIN
    DELETE FROM samples WHERE at_us < now_us - kept_us;
    INSERT INTO samples (at_us, document) VALUES (now_us, sample);
END
$$;
