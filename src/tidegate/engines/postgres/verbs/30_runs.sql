-- Runs: lending to workers, renewing, noting what is about to be written.

-- Lend due runs, oldest due first within a processor, processors in turn by name from the one after `last_served`.
-- If there are fewer than asked for, a last row without id says in how many microseconds there may be more: at once
-- if some are due that another worker is just looking at.
CREATE FUNCTION claim_runs(given_us bigint, lease_us bigint, most integer, excluded text[], last_served text)
RETURNS TABLE (
    run_id bigint, token bigint, processor text, config text, kind text, resource_key text, lane text,
    event_count integer, failures integer, expirations integer, seq bigint, id text, path text, received_us bigint,
    delivery_id text, replay_of text, trace_id text, headers bytea, body bytea, wait_us bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    now_us bigint := time_us(given_us);
    names text[];
    chosen bigint[];
    fresh bigint;
BEGIN
    -- Each step jumps to the next processor by the index, however many runs each has.
    WITH RECURSIVE found (name) AS (
        (SELECT processor FROM runs WHERE due_us IS NOT NULL ORDER BY processor LIMIT 1)
        UNION ALL
        SELECT (SELECT processor FROM runs WHERE due_us IS NOT NULL AND processor > name ORDER BY processor LIMIT 1)
        FROM found WHERE name IS NOT NULL
    )
    SELECT array_agg(name) INTO names FROM found WHERE name IS NOT NULL AND name <> ALL (excluded);
    WITH due AS MATERIALIZED (
        SELECT name, free.* FROM unnest(names) AS name CROSS JOIN LATERAL (
            SELECT id, due_us, state FROM runs WHERE processor = name AND due_us IS NOT NULL AND due_us <= now_us
            ORDER BY due_us, id LIMIT most FOR UPDATE SKIP LOCKED
        ) AS free
    ), turns AS (
        SELECT id, state, row_number() OVER (ORDER BY round, name <= last_served, name) AS turn
        FROM (SELECT *, row_number() OVER (PARTITION BY name ORDER BY due_us, id) AS round FROM due) AS ranked
    )
    SELECT coalesce(array_agg(id ORDER BY turn), '{}'), count(*) FILTER (WHERE state = 'ready') INTO chosen, fresh
    FROM turns WHERE turn <= most;
    IF fresh < cardinality(chosen) THEN
        INSERT INTO attempts (token, run_id, started_us, outcome, detail)
            SELECT token, id, claimed_us, 'expired', '' FROM runs WHERE id = ANY (chosen) AND state = 'claimed';
    END IF;
    RETURN QUERY
    WITH numbered AS MATERIALIZED (
        SELECT id, turn, nextval('tokens') AS token
        FROM (SELECT * FROM unnest(chosen) WITH ORDINALITY AS given (id, turn) ORDER BY turn) AS sorted
    ), lent AS (
        UPDATE runs AS it SET state = 'claimed', due_us = now_us + lease_us, token = numbered.token,
            claimed_us = now_us, changed_us = now_us, expirations = it.expirations + (it.state = 'claimed')::integer
        FROM numbered WHERE it.id = numbered.id
        RETURNING numbered.turn, it.*
    )
    SELECT lent.id, lent.token, lent.processor, lent.config, lent.kind, lent.resource_key, lent.lane,
        lent.event_count, lent.failures, lent.expirations, lent.newest_seq, events.id, events.path,
        events.received_us, events.delivery_id, events.replay_of, events.trace_id, events.headers, events.body,
        NULL::bigint
    FROM lent LEFT JOIN events ON events.seq = lent.newest_seq
    ORDER BY lent.turn;
    IF fresh > 0 THEN
        PERFORM tally(0, -fresh, 0, fresh, 0);
    END IF;
    IF cardinality(chosen) < most THEN
        RETURN QUERY SELECT NULL::bigint, NULL::bigint, NULL, NULL, NULL, NULL, NULL, NULL::integer, NULL::integer,
            NULL::integer, NULL::bigint, NULL, NULL, NULL::bigint, NULL, NULL, NULL, NULL::bytea, NULL::bytea,
            (SELECT min(first.due_us) FROM unnest(names) AS name CROSS JOIN LATERAL (
                SELECT due_us FROM runs WHERE processor = name AND due_us IS NOT NULL ORDER BY due_us LIMIT 1
            ) AS first) - now_us;
    END IF;
END
$$;

-- A run whose data cannot be read goes DEAD, and does not block its lane.
CREATE FUNCTION bury_run(given_us bigint, its_id bigint, its_token bigint, why text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_us bigint := time_us(given_us);
    its_lane text := (SELECT lane FROM runs WHERE id = its_id);
BEGIN
    PERFORM hold_lanes(ARRAY[its_lane]);
    UPDATE runs SET state = 'dead', due_us = NULL, holds_lane = false, changed_us = now_us, finished_us = now_us,
        detail = why
    WHERE id = its_id AND token = its_token AND state = 'claimed';
    IF FOUND THEN
        PERFORM moved('claimed', 'dead');
        PERFORM unblock(now_us, its_lane);
        PERFORM conclude(now_us, ARRAY[its_id]);
    END IF;
END
$$;

-- Extend leases; the ids of the runs for which that worked.
CREATE FUNCTION renew(given_us bigint, lease_us bigint, ids bigint[], tokens bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM runs WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    RETURN QUERY
    UPDATE runs SET due_us = time_us(given_us) + lease_us FROM unnest(ids, tokens) AS given (id, token)
    WHERE runs.id = given.id AND runs.token = given.token AND state = 'claimed'
    RETURNING runs.id;
END
$$;

-- Answer whose the entities are, then note the claims' sources as writers of what they are about to write. `writers`
-- and `askers` are places in the first group of arrays. Rows that answer: whose entity it is (or, without config, that
-- it is `previous`), by place. A place with no `live` row was stale.
CREATE FUNCTION stage(
    ids bigint[], tokens bigint[],
    writers integer[], write_blueprints text[], write_identifiers text[],
    askers integer[], ask_blueprints text[], ask_identifiers text[]
) RETURNS TABLE (
    place integer, what text, blueprint text, identifier text, config text, resource_key text, event_seq bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    it record;
    its_source bigint;
BEGIN
    PERFORM 1 FROM runs WHERE id = ANY (ids) ORDER BY id FOR SHARE;
    PERFORM entity_of(named.blueprint, named.identifier) FROM (
        SELECT DISTINCT given.blueprint, given.identifier
        FROM unnest(write_blueprints, write_identifiers) AS given (blueprint, identifier) ORDER BY 1, 2
    ) AS named;
    FOR it IN
        SELECT given.place::integer, runs.* FROM unnest(ids, tokens) WITH ORDINALITY AS given (id, token, place)
        JOIN runs ON runs.id = given.id AND runs.token = given.token AND runs.state = 'claimed'
        ORDER BY given.place
    LOOP
        RETURN QUERY SELECT it.place, 'live', NULL, NULL, NULL, NULL, NULL::bigint;
        its_source := source_of(it.config, it.resource_key);
        RETURN QUERY
        WITH upserts AS MATERIALIZED (
            SELECT given.blueprint, given.identifier
            FROM unnest(writers, write_blueprints, write_identifiers) AS given (writer, blueprint, identifier)
            WHERE given.writer = it.place
        ), previous AS MATERIALIZED (
            SELECT entities.id, entities.blueprint, entities.identifier
            FROM owners JOIN entities ON entities.id = owners.entity_id
            WHERE owners.source_id = its_source AND it.resource_key IS NOT NULL
                AND is_own(owners.event_seq, owners.processor, it.processor, it.resource_key, it.newest_seq)
        ), asked AS (
            SELECT id, blueprint, identifier FROM previous
            UNION
            SELECT entities.id, entities.blueprint, entities.identifier
            FROM unnest(askers, ask_blueprints, ask_identifiers) AS given (asker, blueprint, identifier)
            JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
            WHERE given.asker = it.place
        )
        SELECT it.place, 'previous', blueprint, identifier, NULL, NULL, NULL::bigint FROM previous
        UNION ALL
        SELECT it.place,
            CASE WHEN owners.source_id = its_source
                AND is_own(owners.event_seq, owners.processor, it.processor, it.resource_key, it.newest_seq)
                THEN 'own' ELSE 'other' END,
            asked.blueprint, asked.identifier, sources.config, sources.resource_key, owners.event_seq
        FROM asked JOIN owners ON owners.entity_id = asked.id JOIN sources ON sources.id = owners.source_id
        WHERE (asked.blueprint, asked.identifier) NOT IN (SELECT blueprint, identifier FROM upserts);
        INSERT INTO owners (entity_id, source_id, event_seq, processor)
            SELECT entities.id, its_source, it.newest_seq, it.processor
            FROM unnest(writers, write_blueprints, write_identifiers) AS given (writer, blueprint, identifier)
            JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
            WHERE given.writer = it.place
            ORDER BY entities.blueprint, entities.identifier
        ON CONFLICT (entity_id, source_id) DO UPDATE
            SET event_seq = excluded.event_seq, processor = excluded.processor
            WHERE excluded.event_seq >= owners.event_seq;
    END LOOP;
END
$$;
