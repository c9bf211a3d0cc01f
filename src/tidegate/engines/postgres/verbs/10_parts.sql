-- What the verbs share. Called by verbs only, which set the search path and take the locks.
--
-- Rows that are named by their number are not looked for by what a partial index has as its condition: `state IS NOT
-- DISTINCT FROM 'claimed'` hides it. Where such an index was small when the table was analyzed, the planner takes it and
-- reads it from end to end, and it may be large by now.

-- Whoever changes what is live on a lane holds the lane, from here to the end of the transaction. Locks are taken
-- in one order by everybody: lanes, runs, entities, events.
CREATE FUNCTION hold_lanes(lanes text[]) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT hashtextextended(lane, 0) AS key FROM unnest(lanes) AS lane WHERE lane IS NOT NULL ORDER BY 1
    ) AS sorted
$$;

-- --- lanes ----------------------------------------------------------------------------------------------

-- A run for one event; the id. The caller holds the lane, knows what is live on it, and counts the run.
CREATE FUNCTION create_run(
    now_us bigint, seq bigint, its_path text, its_processor text, its_config text, its_kind text, its_key text,
    its_lane text, delay_us bigint, error text, its_version text, is_held boolean
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    new_state text := CASE WHEN is_held THEN 'held' ELSE 'ready' END;
    new_id bigint := nextval('run_ids');
BEGIN
    INSERT INTO runs (id, state, due_us, newest_seq, created_us, changed_us, processor, config, kind, resource_key,
        lane, holds_lane, path, detail, version)
    VALUES (new_id, new_state, CASE WHEN NOT is_held THEN now_us + delay_us END, seq, now_us, now_us, its_processor,
        its_config, its_kind, its_key, its_lane, its_lane IS NOT NULL AND NOT is_held, its_path, coalesce(error, ''),
        its_version);
    INSERT INTO event_runs (event_seq, run_id) VALUES (seq, new_id);
    RETURN new_id;
END
$$;

-- The live runs of a lane: `pending` is READY or HELD, and new events join it.
CREATE FUNCTION live_on(its_lane text, OUT claimed bigint, OUT pending bigint) LANGUAGE plpgsql AS $$
DECLARE
    active record;
BEGIN
    SELECT id, state INTO active FROM runs WHERE lane = its_lane AND holds_lane FOR UPDATE;
    IF active.state = 'ready' THEN
        pending := active.id;
    ELSIF active.state = 'claimed' THEN
        claimed := active.id;
        SELECT id INTO pending FROM runs WHERE lane = its_lane AND state = 'held' FOR UPDATE;
    END IF;
END
$$;

-- Let a run stand for one more event. A newer one has all its retries before it.
CREATE FUNCTION join_run(its_id bigint, seq bigint, its_path text, its_version text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    joined integer;
BEGIN
    INSERT INTO event_runs (event_seq, run_id) VALUES (seq, its_id) ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS joined = ROW_COUNT;
    UPDATE runs SET event_count = event_count + joined, path = CASE WHEN seq > newest_seq THEN its_path ELSE path END,
        failures = CASE WHEN seq > newest_seq THEN 0 ELSE failures END,
        newest_seq = greatest(newest_seq, seq), version = greatest(version, its_version)
    WHERE id = its_id;
END
$$;

-- A lane does not go back: a run uses no older payload, and takes no older version, than was applied on its lane and
-- never turned away. Answers the runs that an event joined for that.
CREATE FUNCTION catch_up(run_ids bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    it record;
    joined bigint[] := '{}';
BEGIN
    FOR it IN
        SELECT runs.id, runs.newest_seq AS own_seq, newest.* FROM runs CROSS JOIN LATERAL (
            SELECT applied.newest_seq, applied.version, events.path FROM runs AS applied
            JOIN events ON events.seq = applied.newest_seq
            WHERE applied.lane = runs.lane AND applied.state = 'applied' AND NOT EXISTS (
                SELECT FROM event_runs JOIN runs AS turned ON turned.id = event_runs.run_id
                WHERE event_runs.event_seq = applied.newest_seq AND turned.newest_seq = applied.newest_seq
                    AND turned.lane = applied.lane AND turned.state IN ('ignored', 'rejected')
            )
            ORDER BY applied.newest_seq DESC, applied.version DESC LIMIT 1
        ) AS newest
        WHERE runs.id = ANY (run_ids) AND (newest.newest_seq > runs.newest_seq OR newest.version > runs.version)
    LOOP
        IF it.newest_seq <= it.own_seq THEN
            UPDATE runs SET version = greatest(version, it.version) WHERE id = it.id;
            CONTINUE;
        END IF;
        PERFORM 1 FROM event_states WHERE seq = it.newest_seq FOR UPDATE;
        CONTINUE WHEN NOT FOUND;  -- it is being forgotten
        PERFORM join_run(it.id, it.newest_seq, it.path, it.version);
        joined := joined || it.id;
    END LOOP;
    RETURN joined;
END
$$;

-- The newest event of an ended run was turned away; nobody looked at the others: they go on without it. Answers the
-- run in which they do, and whether it is new. The caller holds the lane.
CREATE FUNCTION pass_on(now_us bigint, claim runs, why text, OUT run_id bigint, OUT made boolean)
LANGUAGE plpgsql AS $$
DECLARE
    others bigint[] := ARRAY(
        SELECT event_seq FROM event_runs WHERE event_runs.run_id = claim.id AND event_seq <> claim.newest_seq
        ORDER BY event_seq DESC
    );
BEGIN
    made := false;
    IF claim.lane IS NULL OR cardinality(others) = 0 THEN
        RETURN;
    END IF;
    SELECT pending INTO run_id FROM live_on(claim.lane);
    IF run_id IS NULL THEN
        made := true;
        run_id := create_run(now_us, others[1], (SELECT path FROM events WHERE seq = others[1]), claim.processor,
            claim.config, claim.kind, claim.resource_key, claim.lane, 0, why, claim.version, false);
    END IF;
    PERFORM join_run(run_id, seq, path, claim.version) FROM events WHERE seq = ANY (others);
    DELETE FROM event_runs WHERE event_runs.run_id = claim.id AND event_seq <> claim.newest_seq;
    UPDATE runs SET event_count = 1 WHERE id = claim.id;
END
$$;

-- Join the pending run of the lane, or create one; the new run's state, or NULL. The caller counts it.
CREATE FUNCTION request_run(
    now_us bigint, seq bigint, its_path text, its_processor text, its_config text, its_kind text, its_key text,
    its_lane text, delay_us bigint, error text, its_version text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    live record;
BEGIN
    SELECT NULL::bigint AS claimed, NULL::bigint AS pending INTO live;
    IF its_lane IS NOT NULL THEN
        live := live_on(its_lane);
    END IF;
    IF live.pending IS NOT NULL THEN
        PERFORM join_run(live.pending, seq, its_path, its_version);
        RETURN NULL;
    END IF;
    PERFORM create_run(now_us, seq, its_path, its_processor, its_config, its_kind, its_key, its_lane, delay_us, error,
        its_version, live.claimed IS NOT NULL);
    RETURN CASE WHEN live.claimed IS NULL THEN 'ready' ELSE 'held' END;
END
$$;

-- The claimed run of the lane ended: the one behind it is due now. True if there is one.
CREATE FUNCTION unblock(now_us bigint, its_lane text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE runs SET state = 'ready', due_us = now_us, holds_lane = true, changed_us = now_us
    WHERE lane = its_lane AND state = 'held';
    IF FOUND THEN
        PERFORM moved('held', 'ready');
    END IF;
    RETURN FOUND;
END
$$;

-- Hand a run's events on to another run of its lane.
CREATE FUNCTION merge_run(now_us bigint, merged bigint, into_run bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    other record;
    handed bigint;
BEGIN
    SELECT state, newest_seq, path, version INTO other FROM runs WHERE id = merged;
    INSERT INTO event_runs (event_seq, run_id)
        SELECT event_seq, into_run FROM event_runs WHERE run_id = merged ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS handed = ROW_COUNT;
    UPDATE runs SET event_count = event_count + handed,
        path = CASE WHEN other.newest_seq > newest_seq THEN other.path ELSE path END,
        failures = CASE WHEN other.newest_seq > newest_seq THEN 0 ELSE failures END,
        newest_seq = greatest(newest_seq, other.newest_seq), version = greatest(version, other.version)
    WHERE id = into_run;
    DELETE FROM event_runs WHERE run_id = merged;
    UPDATE runs SET state = 'superseded', due_us = NULL, holds_lane = false, changed_us = now_us,
        finished_us = now_us, superseded_by = into_run, event_count = 0
    WHERE id = merged;
    PERFORM moved(other.state, 'superseded');
END
$$;

-- --- outcomes -------------------------------------------------------------------------------------------

-- Says in SQL what `tidegate.engines.outcomes.conclude` says in Python: the highest rank decides, and of several
-- runs of that rank the oldest gives the reason.
CREATE FUNCTION rank_of(its_config text, its_state text, carried boolean) RETURNS integer LANGUAGE sql AS $$
    SELECT CASE
        WHEN its_config = '' AND its_state = 'applied' THEN 2
        WHEN its_state IN ('ready', 'held', 'claimed') THEN 9
        WHEN its_state = 'dead' THEN 8
        WHEN its_state = 'discarded' THEN 7
        WHEN its_state = 'rejected' THEN 6
        WHEN its_state = 'applied' AND carried THEN 5
        WHEN its_state = 'applied' THEN 4
        WHEN its_state = 'ignored' THEN 3
        ELSE 2
    END
$$;

-- Give the events of runs the state that all their runs ask for. The events are locked first, so that of two runs
-- that end at once the later one sees how the other ended.
CREATE FUNCTION conclude(now_us bigint, run_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM event_states WHERE seq IN (SELECT event_seq FROM event_runs WHERE run_id = ANY (run_ids))
        ORDER BY seq FOR UPDATE;
    UPDATE event_states SET state = outcome.state, reason = outcome.reason,
        finished_us = CASE WHEN outcome.state <> 'routed' THEN now_us END
    FROM (
        SELECT ranked.event_seq,
            (ARRAY['ignored', 'ignored', 'coalesced', 'applied', 'rejected', 'discarded', 'dead', 'routed'])[rank - 1] AS state,
            CASE WHEN rank IN (9, 5, 2) THEN '' WHEN rank = 4 THEN 'coalesced into run ' || run_id ELSE detail END AS reason
        FROM (
            SELECT DISTINCT ON (linked.event_seq) linked.event_seq, runs.id AS run_id, runs.detail,
                rank_of(runs.config, runs.state, runs.newest_seq = linked.event_seq) AS rank
            FROM (SELECT DISTINCT event_seq FROM event_runs WHERE run_id = ANY (run_ids)) AS mine
            JOIN event_runs AS linked ON linked.event_seq = mine.event_seq
            JOIN runs ON runs.id = linked.run_id
            ORDER BY linked.event_seq, rank DESC, runs.id
        ) AS ranked
    ) AS outcome
    WHERE event_states.seq = outcome.event_seq AND event_states.state <> outcome.state;
END
$$;

-- --- lineage --------------------------------------------------------------------------------------------

-- The number under which an entity is kept, from now on at the latest. The row stays locked, so that runs that name the
-- same entity go one after the other.
CREATE FUNCTION entity_of(its_blueprint text, its_identifier text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found_id bigint;
BEGIN
    LOOP
        SELECT id INTO found_id FROM entities WHERE blueprint = its_blueprint AND identifier = its_identifier
            FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO entities (blueprint, identifier) VALUES (its_blueprint, its_identifier)
            ON CONFLICT DO NOTHING RETURNING id INTO found_id;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN found_id;
END
$$;

CREATE FUNCTION source_of(its_config text, its_key text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found_id bigint;
BEGIN
    LOOP
        SELECT id INTO found_id FROM sources WHERE config = its_config AND resource_key = coalesce(its_key, '');
        EXIT WHEN FOUND;
        INSERT INTO sources (config, resource_key) VALUES (its_config, coalesce(its_key, ''))
            ON CONFLICT DO NOTHING RETURNING id INTO found_id;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN found_id;
END
$$;

-- A claim that is about to write, and an entity that the one in this place names.
CREATE TYPE staging AS (place integer, run_id bigint, source_id bigint, newest_seq bigint, processor text, resource_key text);
CREATE TYPE named_entity AS (place integer, id bigint, refresh_lane text);

-- `entity_of` for many, in the one order in which everybody locks entities.
CREATE FUNCTION name_entities(blueprints text[], identifiers text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    known bigint;
BEGIN
    PERFORM 1 FROM unnest(blueprints, identifiers) AS given (blueprint, identifier)
        JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
        ORDER BY entities.blueprint, entities.identifier FOR NO KEY UPDATE OF entities;
    GET DIAGNOSTICS known = ROW_COUNT;
    IF known < cardinality(blueprints) THEN
        INSERT INTO entities (blueprint, identifier)
            SELECT DISTINCT given.blueprint, given.identifier
            FROM unnest(blueprints, identifiers) AS given (blueprint, identifier) ORDER BY 1, 2
            ON CONFLICT DO NOTHING;
    END IF;
END
$$;

-- The sources of runs are known from now on.
CREATE FUNCTION name_sources(run_ids bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO sources (config, resource_key)
        SELECT DISTINCT runs.config, coalesce(runs.resource_key, '') FROM runs
        WHERE id = ANY (run_ids) AND NOT EXISTS (
            SELECT FROM sources WHERE sources.config = runs.config
                AND sources.resource_key = coalesce(runs.resource_key, '')
        )
        ORDER BY 1, 2
        ON CONFLICT DO NOTHING
$$;

-- `tidegate.engines.lineage.is_own` in SQL, for a row of the claim's own source.
CREATE FUNCTION is_own(mark_seq bigint, mark_processor text, its_processor text, its_key text, its_seq bigint)
RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE
        WHEN mark_processor <> its_processor THEN mark_seq < its_seq
        ELSE its_key IS NOT NULL OR mark_seq <= its_seq
    END
$$;

-- --- refreshes ------------------------------------------------------------------------------------------

-- Create a run like this one; if one is pending on its lane already, that one is enough. The id of the run that is new
-- or has a new event, or NULL.
CREATE FUNCTION owe(now_us bigint, run_id bigint, entity_lane text, reason text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    known record;
    live record;
    is_laneless boolean;
BEGIN
    SELECT runs.*, events.path AS event_path INTO known FROM runs JOIN events ON events.seq = runs.newest_seq
        WHERE runs.id = run_id;
    IF NOT FOUND OR known.state IN ('ready', 'held') THEN
        RETURN NULL;
    END IF;
    is_laneless := known.lane IS NULL;
    known.lane := coalesce(known.lane, entity_lane);
    SELECT NULL::bigint AS claimed, NULL::bigint AS pending INTO live;
    IF known.lane IS NOT NULL THEN
        PERFORM hold_lanes(ARRAY[known.lane]);
        live := live_on(known.lane);
    END IF;
    IF live.pending IS NOT NULL THEN
        IF is_laneless AND EXISTS (SELECT FROM runs WHERE id = live.pending AND newest_seq < known.newest_seq) THEN
            PERFORM join_run(live.pending, known.newest_seq, known.event_path, known.version);
            RETURN live.pending;
        END IF;
        RETURN NULL;
    END IF;
    PERFORM tally(0, (live.claimed IS NULL)::int, (live.claimed IS NOT NULL)::int, 0, 0);
    RETURN create_run(now_us, known.newest_seq, known.event_path, known.processor, known.config, known.kind,
        known.resource_key, known.lane, 0, reason, known.version, live.claimed IS NOT NULL);
END
$$;

-- --- looking --------------------------------------------------------------------------------------------

-- Where a text stands in another, by the name that SQLite has for it: the filters are the same for both engines.
CREATE FUNCTION instr(whole text, part text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT position(part IN whole)
$$;
CREATE FUNCTION instr(whole bytea, part bytea) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT position(part IN whole)
$$;
