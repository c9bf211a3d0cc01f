-- Runs: lending to workers, renewing, noting what is about to be written.

-- Lend due runs, oldest due first within a processor, processors in turn by name from the one after `last_served`.
-- If there are fewer than asked for, a last row without id says in how many microseconds there may be more: at once
-- if some are due that another worker is just looking at.
CREATE FUNCTION claim_runs(given_us bigint, lease_us bigint, most integer, excluded text[], last_served text)
RETURNS TABLE (
    run_id bigint, token bigint, processor text, config text, kind text, resource_key text, lane text,
    event_count integer, failures integer, expirations integer, seq bigint, id text, path text, received_us bigint,
    delivery_id text, replay_of text, trace_id text, headers bytea, body bytea, version text, wait_us bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    now_us bigint := time_us(given_us);
    caught_up bigint[];
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
    caught_up := catch_up(chosen);
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
        lent.version, NULL::bigint
    FROM lent LEFT JOIN events ON events.seq = lent.newest_seq
    ORDER BY lent.turn;
    IF fresh > 0 THEN
        PERFORM tally(0, -fresh, 0, fresh, 0);
    END IF;
    IF cardinality(caught_up) > 0 THEN
        PERFORM conclude(now_us, caught_up);
    END IF;
    IF cardinality(chosen) < most THEN
        RETURN QUERY SELECT NULL::bigint, NULL::bigint, NULL, NULL, NULL, NULL, NULL, NULL::integer, NULL::integer,
            NULL::integer, NULL::bigint, NULL, NULL, NULL::bigint, NULL, NULL, NULL, NULL::bytea, NULL::bytea, NULL,
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
-- and `askers` are places in the first group of arrays. Rows that answer: that the claim is live, what is `previous`,
-- and whose an entity is. A place without rows was stale.
--
-- Calls that have nothing to do with each other are answered in one go. If one asks for what another is about to write,
-- they are answered one after the other.
CREATE FUNCTION stage(
    ids bigint[], tokens bigint[],
    writers integer[], write_blueprints text[], write_identifiers text[], write_refresh_lanes text[],
    askers integer[], ask_blueprints text[], ask_identifiers text[]
) RETURNS TABLE (
    place integer, what text, blueprint text, identifier text, config text, resource_key text, event_seq bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    claims staging[];
    upserts named_entity[];
    asked named_entity[];
BEGIN
    PERFORM 1 FROM runs WHERE id = ANY (ids) ORDER BY id FOR SHARE;
    PERFORM name_entities(write_blueprints || ask_blueprints, write_identifiers || ask_identifiers);
    PERFORM name_sources(ids);
    SELECT array_agg(ROW (given.place, runs.id, sources.id, runs.newest_seq, runs.processor, runs.resource_key)::staging
            ORDER BY given.place)
        INTO claims
        FROM unnest(ids, tokens) WITH ORDINALITY AS given (id, token, place)
        JOIN runs ON runs.id = given.id AND runs.token = given.token AND runs.state = 'claimed'
        JOIN sources ON sources.config = runs.config AND sources.resource_key = coalesce(runs.resource_key, '');
    SELECT array_agg(ROW (given.place, entities.id, given.refresh_lane)::named_entity ORDER BY entities.id) INTO upserts
        FROM unnest(writers, write_blueprints, write_identifiers, write_refresh_lanes)
            AS given (place, blueprint, identifier, refresh_lane)
        JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier;
    WITH candidates AS (
        SELECT given.place, entities.id
        FROM unnest(askers, ask_blueprints, ask_identifiers) AS given (place, blueprint, identifier)
        JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
        UNION
        SELECT claim.place, owners.entity_id FROM unnest(claims) AS claim
        JOIN owners ON owners.source_id = claim.source_id AND claim.resource_key IS NOT NULL
            AND is_own(owners.event_seq, owners.processor, claim.processor, claim.resource_key, claim.newest_seq)
    )
    SELECT array_agg(ROW (candidates.place, candidates.id, NULL)::named_entity) INTO asked FROM candidates;
    IF EXISTS (SELECT FROM unnest(asked) AS one JOIN unnest(upserts) AS other USING (id) WHERE one.place <> other.place) THEN
        RETURN QUERY SELECT answer.* FROM unnest(claims) AS claim
            CROSS JOIN LATERAL stage_some(ARRAY[claim], upserts, asked) AS answer ORDER BY claim.place;
    ELSE
        RETURN QUERY SELECT * FROM stage_some(claims, upserts, asked);
    END IF;
END
$$;

-- What `stage` does, for some of its calls.
CREATE FUNCTION stage_some(claims staging[], upserts named_entity[], asked named_entity[]) RETURNS TABLE (
    place integer, what text, blueprint text, identifier text, config text, resource_key text, event_seq bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT claim.place, 'live', NULL, NULL, NULL, NULL, NULL::bigint FROM unnest(claims) AS claim
    UNION ALL
    SELECT claim.place, 'previous', entities.blueprint, entities.identifier, NULL, NULL, NULL
    FROM unnest(claims) AS claim
    JOIN owners ON owners.source_id = claim.source_id AND claim.resource_key IS NOT NULL
        AND is_own(owners.event_seq, owners.processor, claim.processor, claim.resource_key, claim.newest_seq)
    JOIN entities ON entities.id = owners.entity_id
    UNION ALL
    SELECT claim.place,
        CASE WHEN owners.source_id = claim.source_id
            AND is_own(owners.event_seq, owners.processor, claim.processor, claim.resource_key, claim.newest_seq)
            THEN 'own' ELSE 'other' END,
        entities.blueprint, entities.identifier, sources.config, sources.resource_key, owners.event_seq
    FROM unnest(claims) AS claim
    JOIN unnest(asked) AS candidate ON candidate.place = claim.place
    JOIN entities ON entities.id = candidate.id
    JOIN owners ON owners.entity_id = candidate.id
    JOIN sources ON sources.id = owners.source_id
    WHERE NOT EXISTS (SELECT FROM unnest(upserts) AS own WHERE own.place = claim.place AND own.id = candidate.id);
    INSERT INTO doomed (run_id, entity_id)
        SELECT claim.run_id, candidate.id FROM unnest(claims) AS claim
        JOIN unnest(asked) AS candidate ON candidate.place = claim.place
        WHERE NOT EXISTS (SELECT FROM unnest(upserts) AS own WHERE own.place = claim.place AND own.id = candidate.id)
            AND NOT EXISTS (
                SELECT FROM owners WHERE owners.entity_id = candidate.id AND NOT (
                    owners.source_id = claim.source_id AND is_own(
                        owners.event_seq, owners.processor, claim.processor, claim.resource_key, claim.newest_seq
                    )
                )
            )
        ORDER BY claim.run_id, candidate.id
        ON CONFLICT DO NOTHING;
    INSERT INTO owners (entity_id, source_id, event_seq, processor, refresh_lane)
        SELECT DISTINCT ON (entity.id, claim.source_id) entity.id, claim.source_id, claim.newest_seq, claim.processor,
            entity.refresh_lane
        FROM unnest(claims) AS claim JOIN unnest(upserts) AS entity ON entity.place = claim.place
        ORDER BY entity.id, claim.source_id, claim.newest_seq DESC, claim.place DESC
    ON CONFLICT (entity_id, source_id) DO UPDATE SET event_seq = excluded.event_seq, processor = excluded.processor,
            refresh_lane = excluded.refresh_lane
        WHERE excluded.event_seq >= owners.event_seq;
END
$$;
