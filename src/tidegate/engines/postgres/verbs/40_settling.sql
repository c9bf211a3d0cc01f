-- How claims end: attempts, writes, lineage, lanes, refreshes, events.

-- Keep what runs wrote, and stamp what they changed. Answers the runs that owe a refresh because of an overlap, which
-- `tidegate.engines.overlaps` explains: the place of the claim, the run, the entity's refresh lane, and why.
CREATE FUNCTION journal(
    now_us bigint, claim runs, blueprints text[], identifiers text[], actions text[], reasons text[],
    documents bytea[], digests bytea[], refresh_lanes text[], deleted bytea
) RETURNS TABLE (owed bigint, entity_lane text, why text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    its_order bigint;
    known record;
    other record;
    write record;
    entity bigint;
BEGIN
    IF EXISTS (SELECT FROM unnest(digests) AS digest WHERE digest IS NOT NULL) THEN
        its_order := nextval('tokens');
    END IF;
    FOR write IN
        SELECT * FROM unnest(blueprints, identifiers, actions, reasons, documents, digests, refresh_lanes)
            AS given (blueprint, identifier, action, reason, document, digest, refresh_lane)
    LOOP
        entity := entity_of(write.blueprint, write.identifier);
        INSERT INTO writes (seq, entity_id, run_id, event_seq, at_us, action, reason, document)
        VALUES (nextval('write_seqs'), entity, claim.id, claim.newest_seq, now_us, write.action, write.reason,
            write.document);
        CONTINUE WHEN write.digest IS NULL;
        SELECT * INTO known FROM entities WHERE id = entity;
        IF known.stamp > claim.token AND known.run_id <> claim.id AND known.digest <> write.digest THEN
            SELECT runs.processor, runs.config, runs.newest_seq INTO other
                FROM runs JOIN events ON events.seq = runs.newest_seq WHERE runs.id = known.run_id;
            owed := claim.id;
            entity_lane := write.refresh_lane;
            IF FOUND AND ((write.digest = deleted AND known.digest <> deleted) OR (
                claim.resource_key IS NULL AND other.processor = claim.processor AND other.config = claim.config
                AND other.newest_seq > claim.newest_seq
            )) THEN
                owed := known.run_id;
                entity_lane := known.refresh_lane;
            END IF;
            why := format('refresh: runs %s and %s wrote %s at the same time', known.run_id, claim.id,
                write.blueprint || '/' || write.identifier);
            RETURN NEXT;
        END IF;
        UPDATE entities SET stamp = its_order, digest = write.digest, run_id = claim.id,
            refresh_lane = write.refresh_lane
        WHERE id = entity;
    END LOOP;
END
$$;

-- Take out of lineage what a source does not write any more, and all writers of what was deleted.
CREATE FUNCTION shrink(
    claim runs, dropped_blueprints text[], dropped_identifiers text[], blueprints text[], identifiers text[],
    actions text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    its_source bigint;
BEGIN
    IF cardinality(dropped_blueprints) > 0 THEN
        its_source := source_of(claim.config, claim.resource_key);
        DELETE FROM owners USING unnest(dropped_blueprints, dropped_identifiers) AS given (blueprint, identifier)
            JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
        WHERE owners.entity_id = entities.id AND owners.source_id = its_source
            AND is_own(owners.event_seq, owners.processor, claim.processor, claim.resource_key, claim.newest_seq);
    END IF;
    IF 'delete' = ANY (actions) THEN
        DELETE FROM owners USING unnest(blueprints, identifiers, actions) AS given (blueprint, identifier, action)
            JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
        WHERE given.action = 'delete' AND owners.entity_id = entities.id AND owners.event_seq <= claim.newest_seq;
    END IF;
END
$$;

-- Move a claimed run on, and with it the run that waits behind it; true if there is something new to claim. Answers
-- NULL if the claim is stale. `delay_us` is NULL if the state is final.
CREATE FUNCTION end_claim(
    now_us bigint, its_id bigint, its_token bigint, its_lane text, new_state text, failed boolean, delay_us bigint,
    new_detail text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    waiting bigint;
BEGIN
    UPDATE runs SET state = new_state, due_us = now_us + delay_us, failures = failures + failed::integer,
        holds_lane = holds_lane AND delay_us IS NOT NULL, changed_us = now_us, detail = new_detail,
        finished_us = CASE WHEN delay_us IS NULL THEN now_us END
    WHERE id = its_id AND token = its_token AND state = 'claimed';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF delay_us IS NULL THEN
        RETURN its_lane IS NOT NULL AND unblock(now_us, its_lane);
    END IF;
    IF its_lane IS NOT NULL THEN
        SELECT id INTO waiting FROM runs WHERE lane = its_lane AND state = 'held' FOR UPDATE;
        IF FOUND THEN
            PERFORM merge_run(now_us, waiting, its_id);
        END IF;
    END IF;
    RETURN true;
END
$$;

-- End claims. Answers the places of those that were not stale, and whether there is something new to claim. The other
-- groups of arrays are what each claim wrote, dropped and asks for; `writers`, `droppers` and `askers` are places in
-- the first group.
CREATE FUNCTION settle(
    given_us bigint, ids bigint[], tokens bigint[], states text[], failed boolean[], delays bigint[], details text[],
    outcomes text[], completes boolean[], trails bytea[], fetched bytea[],
    writers integer[], blueprints text[], identifiers text[], actions text[], reasons text[], documents bytea[],
    digests bytea[], refresh_lanes text[], deleted bytea,
    droppers integer[], dropped_blueprints text[], dropped_identifiers text[],
    askers integer[], processors text[], configs text[], kinds text[], keys text[], lanes text[],
    run_delays bigint[], errors text[]
) RETURNS TABLE (place integer, woke boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    now_us bigint := time_us(given_us);
    it record;
    claim runs;
    touched bigint[] := '{}';
    change bigint[] := '{0,0,0}';
    mine record;
    dropped record;
    asked record;
    owing record;
    made text;
BEGIN
    PERFORM hold_lanes(ARRAY(SELECT lane FROM runs WHERE id = ANY (ids)) || lanes);
    PERFORM 1 FROM runs WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    PERFORM 1 FROM unnest(blueprints, identifiers) AS given (blueprint, identifier)
        JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
        ORDER BY entities.blueprint, entities.identifier FOR NO KEY UPDATE OF entities;
    FOR it IN
        SELECT * FROM unnest(ids, tokens, states, failed, delays, details, outcomes, completes, trails, fetched)
            WITH ORDINALITY AS given (id, token, state, failed, delay_us, detail, outcome, completes, trail, fetched, place)
    LOOP
        SELECT * INTO claim FROM runs WHERE id = it.id AND token = it.token AND state = 'claimed';
        CONTINUE WHEN NOT FOUND;
        place := it.place;
        woke := end_claim(now_us, it.id, it.token, claim.lane, it.state, it.failed, it.delay_us, it.detail);
        change := ARRAY[change[1] + (it.state = 'ready')::int, change[2] + 1, change[3] + (it.state = 'dead')::int];
        touched := touched || it.id;
        INSERT INTO attempts (token, run_id, started_us, finished_us, outcome, detail, trail, fetched)
            VALUES (it.token, it.id, claim.claimed_us, now_us, it.outcome, it.detail, it.trail, it.fetched);
        SELECT array_agg(blueprint) AS blueprints, array_agg(identifier) AS identifiers, array_agg(action) AS actions,
                array_agg(reason) AS reasons, array_agg(document) AS documents, array_agg(digest) AS digests,
                array_agg(refresh_lane) AS refresh_lanes
            INTO mine FROM unnest(writers, blueprints, identifiers, actions, reasons, documents, digests, refresh_lanes)
                AS given (writer, blueprint, identifier, action, reason, document, digest, refresh_lane)
            WHERE writer = it.place;
        IF it.completes THEN
            SELECT array_agg(blueprint) AS blueprints, array_agg(identifier) AS identifiers
                INTO dropped FROM unnest(droppers, dropped_blueprints, dropped_identifiers)
                    AS given (dropper, blueprint, identifier)
                WHERE dropper = it.place;
            PERFORM shrink(claim, dropped.blueprints, dropped.identifiers, mine.blueprints, mine.identifiers,
                mine.actions);
        END IF;
        FOR asked IN
            SELECT given.* FROM unnest(askers, processors, configs, kinds, keys, lanes, run_delays, errors)
                AS given (asker, processor, config, kind, key, lane, delay_us, error)
            WHERE asker = it.place
        LOOP
            made := request_run(now_us, claim.newest_seq, claim.path, asked.processor, asked.config, asked.kind,
                asked.key, asked.lane, asked.delay_us, asked.error);
            PERFORM tally(0, (made = 'ready')::int, (made = 'held')::int, 0, 0) WHERE made IS NOT NULL;
            woke := woke OR coalesce(made = 'ready', false);
        END LOOP;
        IF mine.blueprints IS NOT NULL THEN
            FOR owing IN
                SELECT DISTINCT ON (found.owed) found.*
                FROM journal(now_us, claim, mine.blueprints, mine.identifiers, mine.actions, mine.reasons,
                    mine.documents, mine.digests, mine.refresh_lanes, deleted) WITH ORDINALITY AS found
                ORDER BY found.owed, found.ordinality
            LOOP
                touched := touched || owe(now_us, owing.owed, owing.entity_lane, owing.why);
                woke := true;
            END LOOP;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM tally(0, change[1], 0, -change[2], change[3]);
    PERFORM conclude(now_us, touched);
END
$$;

-- Owe one more run to the lane, or to the event, of a run whose write came late; true if there is one now.
CREATE FUNCTION refresh(given_us bigint, its_id bigint, why text) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_us bigint := time_us(given_us);
    known runs;
    newest bigint := its_id;
    made bigint;
BEGIN
    PERFORM hold_lanes(ARRAY(SELECT lane FROM runs WHERE id = its_id));
    SELECT * INTO known FROM runs WHERE id = its_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF known.lane IS NOT NULL THEN
        -- Only runs from this one on can have a newer event of the lane: no index is kept for so rare a question.
        SELECT id INTO newest FROM runs WHERE id >= its_id AND lane = known.lane
            ORDER BY newest_seq DESC, id DESC LIMIT 1;
    ELSIF EXISTS (
        SELECT FROM event_runs JOIN runs ON runs.id = event_runs.run_id
        WHERE event_runs.event_seq = known.newest_seq AND runs.newest_seq = known.newest_seq
            AND runs.processor = known.processor AND runs.config = known.config AND runs.state IN ('ready', 'held')
    ) THEN
        RETURN false;
    END IF;
    made := owe(now_us, newest, NULL, why);
    IF made IS NOT NULL THEN
        PERFORM conclude(now_us, ARRAY[made]);
    END IF;
    RETURN made IS NOT NULL;
END
$$;
