-- How claims end: attempts, writes, lineage, lanes, refreshes, events.

-- A refresh that is owed: of which run, on which lane if it has none of its own, and why.
CREATE TYPE owed_refresh AS (run_id bigint, entity_lane text, why text);

-- `tidegate.engines.overlaps.who_owes` in SQL: which of two overlapping runs are run again.
CREATE FUNCTION who_owes(claim runs, digest bytea, other runs, other_digest bytea, deleted bytea, OUT own boolean, OUT others boolean)
LANGUAGE plpgsql AS $$
BEGIN
    IF digest = deleted THEN
        own := other.resource_key IS NULL;
        others := true;
    ELSIF other_digest = deleted THEN
        own := true;
        others := claim.resource_key IS NULL;
    ELSIF claim.resource_key IS NOT NULL AND other.resource_key IS NOT NULL THEN
        own := other.token > claim.token;
        others := false;
    ELSE
        others := claim.resource_key IS NULL AND other.processor = claim.processor AND other.config = claim.config
            AND other.newest_seq > claim.newest_seq;
        own := NOT others;
    END IF;
END
$$;

-- Which of these entities another run stamped after the claim was given.
CREATE FUNCTION overlapped(claim runs, blueprints text[], identifiers text[]) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT ARRAY(
        SELECT entities.id FROM unnest(blueprints, identifiers) AS given (blueprint, identifier)
        JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
        WHERE entities.stamp > claim.token AND entities.run_id <> claim.id
    )
$$;

-- Which of these entities an earlier claim of the run or its lane stamped after the claim was given: that write came
-- late, and lies over what this one planned.
CREATE FUNCTION came_late(claim runs, blueprints text[], identifiers text[]) RETURNS bigint[] LANGUAGE sql AS $$
    SELECT ARRAY(
        SELECT entities.id FROM unnest(blueprints, identifiers) AS given (blueprint, identifier)
        JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
        WHERE entities.stamp > claim.token AND (entities.run_id = claim.id OR EXISTS (
            SELECT FROM runs WHERE runs.id = entities.run_id AND runs.lane = claim.lane
        ))
    )
$$;

-- Keep what a run wrote, and stamp what it changed. Answers the refreshes that are owed because of overlaps, which
-- `tidegate.engines.overlaps` explains.
CREATE FUNCTION journal(
    now_us bigint, claim runs, blueprints text[], identifiers text[], actions text[], reasons text[],
    documents bytea[], digests bytea[], refresh_lanes text[], deleted bytea
) RETURNS SETOF owed_refresh LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    its_order bigint;
    known record;
    other runs;
    owing record;
    write record;
    entity bigint;
    why text;
BEGIN
    IF EXISTS (SELECT FROM unnest(digests) AS digest WHERE digest IS NOT NULL) THEN
        its_order := nextval('tokens');
    END IF;
    FOR write IN
        SELECT * FROM unnest(blueprints, identifiers, actions, reasons, documents, digests, refresh_lanes)
            AS given (blueprint, identifier, action, reason, document, digest, refresh_lane)
    LOOP
        SELECT * INTO known FROM entities WHERE blueprint = write.blueprint AND identifier = write.identifier
            FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            entity := entity_of(write.blueprint, write.identifier);
            SELECT * INTO known FROM entities WHERE id = entity;
        END IF;
        INSERT INTO writes (seq, entity_id, run_id, event_seq, at_us, action, reason, document)
        VALUES (nextval('write_seqs'), known.id, claim.id, claim.newest_seq, now_us, write.action, write.reason,
            write.document);
        CONTINUE WHEN write.digest IS NULL;
        IF known.stamp > claim.token AND known.run_id <> claim.id AND known.digest <> write.digest THEN
            why := format('refresh: runs %s and %s wrote %s at the same time', known.run_id, claim.id,
                write.blueprint || '/' || write.identifier);
            SELECT runs.* INTO other FROM runs JOIN events ON events.seq = runs.newest_seq WHERE runs.id = known.run_id;
            SELECT true AS own, false AS others INTO owing;
            IF other.id IS NOT NULL THEN
                owing := who_owes(claim, write.digest, other, known.digest, deleted);
            END IF;
            IF owing.others THEN
                RETURN NEXT ROW (known.run_id, known.refresh_lane, why)::owed_refresh;
            END IF;
            IF owing.own THEN
                RETURN NEXT ROW (claim.id, write.refresh_lane, why)::owed_refresh;
            END IF;
        END IF;
        UPDATE entities SET stamp = its_order, digest = write.digest, run_id = claim.id,
            refresh_lane = write.refresh_lane
        WHERE id = known.id;
    END LOOP;
END
$$;

-- The run that left a mark in lineage; NULL if its event is forgotten.
CREATE FUNCTION run_of(mark_seq bigint, mark_processor text, its_config text) RETURNS bigint LANGUAGE sql AS $$
    SELECT runs.id FROM event_runs JOIN runs ON runs.id = event_runs.run_id
    WHERE event_runs.event_seq = mark_seq AND runs.processor = mark_processor AND runs.config = its_config
    ORDER BY runs.id DESC LIMIT 1
$$;

-- Take out of lineage what a source does not write any more. Answers the refreshes that are owed because of it.
-- What an earlier claim wrote late may be there again: the refresh that is owed has to find it in lineage.
CREATE FUNCTION shrink(
    claim runs, dropped_blueprints text[], dropped_identifiers text[], blueprints text[], identifiers text[],
    actions text[], refresh_lanes text[], stamped bigint[], late bigint[]
) RETURNS SETOF owed_refresh LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    its_source bigint;
    gone record;
    heir record;
BEGIN
    IF cardinality(dropped_blueprints) > 0 THEN
        its_source := source_of(claim.config, claim.resource_key);
        FOR gone IN
            SELECT entities.id, given.blueprint || '/' || given.identifier AS name, kept.action IS NOT NULL AS was_kept,
                kept.refresh_lane
            FROM unnest(dropped_blueprints, dropped_identifiers) WITH ORDINALITY AS given (blueprint, identifier, place)
            JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
            JOIN owners ON owners.entity_id = entities.id AND owners.source_id = its_source
                AND is_own(owners.event_seq, owners.processor, claim.processor, claim.resource_key, claim.newest_seq)
                -- unless another processor of the same source has just written it, or is about to
                AND NOT (owners.processor <> claim.processor AND (entities.id = ANY (stamped) OR EXISTS (
                    SELECT FROM runs WHERE id = run_of(owners.event_seq, owners.processor, claim.config)
                        AND id <> claim.id AND state IN ('ready', 'held', 'claimed')
                )))
            LEFT JOIN unnest(blueprints, identifiers, actions, refresh_lanes)
                AS kept (blueprint, identifier, action, refresh_lane)
                ON kept.blueprint = given.blueprint AND kept.identifier = given.identifier AND kept.action = 'kept'
            WHERE entities.id <> ALL (late)
            ORDER BY given.place
        LOOP
            SELECT owners.*, sources.config INTO heir FROM owners JOIN sources ON sources.id = owners.source_id
                WHERE owners.entity_id = gone.id AND owners.source_id <> its_source
                ORDER BY owners.event_seq DESC, sources.config DESC, sources.resource_key DESC LIMIT 1;
            IF gone.was_kept AND heir.entity_id IS NULL THEN
                RETURN NEXT ROW (claim.id, gone.refresh_lane, format(
                    'refresh: run %s kept %s for others, who do not write it any more', claim.id, gone.name
                ))::owed_refresh;
                CONTINUE;
            END IF;
            DELETE FROM owners WHERE entity_id = gone.id AND source_id = its_source;
            IF gone.was_kept THEN
                RETURN NEXT ROW (run_of(heir.event_seq, heir.processor, heir.config), heir.refresh_lane, format(
                    'refresh: run %s does not write %s any more, and may have written it last', claim.id, gone.name
                ))::owed_refresh;
            END IF;
        END LOOP;
    END IF;
    IF 'delete' = ANY (actions) THEN
        DELETE FROM owners USING unnest(blueprints, identifiers, actions) AS given (blueprint, identifier, action)
            JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
            CROSS JOIN sources
        WHERE given.action = 'delete' AND entities.id <> ALL (stamped || late)
            AND owners.entity_id = entities.id AND owners.event_seq <= claim.newest_seq AND sources.id = owners.source_id AND NOT EXISTS (
                SELECT FROM runs WHERE id = run_of(owners.event_seq, owners.processor, sources.config)
                    AND id <> claim.id AND state IN ('ready', 'held', 'claimed')
            );
    END IF;
END
$$;

-- A run has ended: what it may have deleted before, and neither wrote nor deleted now, is others' to write. Answers the
-- refreshes that are owed because of it.
CREATE FUNCTION spare(claim runs, blueprints text[], identifiers text[], digests bytea[]) RETURNS SETOF owed_refresh
LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    FOR it IN
        SELECT heir.*, run_of(heir.event_seq, heir.processor, heir.config) AS heir_run,
            entities.blueprint || '/' || entities.identifier AS name
        FROM doomed JOIN entities ON entities.id = doomed.entity_id
        CROSS JOIN LATERAL (
            SELECT owners.event_seq, owners.processor, owners.refresh_lane, sources.config, sources.resource_key
            FROM owners JOIN sources ON sources.id = owners.source_id
            WHERE owners.entity_id = doomed.entity_id
            ORDER BY owners.event_seq DESC, sources.config DESC, sources.resource_key DESC LIMIT 1
        ) AS heir
        WHERE doomed.run_id = claim.id AND NOT EXISTS (
            SELECT FROM unnest(blueprints, identifiers, digests) AS settled (blueprint, identifier, digest)
            WHERE settled.blueprint = entities.blueprint AND settled.identifier = entities.identifier
                AND settled.digest IS NOT NULL
        )
        ORDER BY entities.blueprint, entities.identifier
    LOOP
        CONTINUE WHEN it.heir_run IS NULL OR it.heir_run = claim.id OR claim.lane IS NOT NULL
            AND (it.processor, it.config, it.resource_key) = (claim.processor, claim.config, claim.resource_key);
        RETURN NEXT ROW (it.heir_run, it.refresh_lane, format(
            'refresh: an attempt of run %s may have deleted %s', claim.id, it.name
        ))::owed_refresh;
    END LOOP;
    DELETE FROM doomed WHERE run_id = claim.id;
END
$$;

-- Move a claimed run on, and with it the run that waits behind it; true if there is something new to claim. Answers
-- NULL if the claim is stale. `delay_us` is NULL if the state is final.
CREATE FUNCTION end_claim(
    now_us bigint, its_id bigint, its_token bigint, its_lane text, new_state text, failed boolean, delay_us bigint,
    new_detail text, found_version text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    waiting bigint;
BEGIN
    UPDATE runs SET state = new_state, due_us = now_us + delay_us, failures = failures + failed::integer,
        holds_lane = holds_lane AND delay_us IS NOT NULL, changed_us = now_us, detail = new_detail,
        finished_us = CASE WHEN delay_us IS NULL THEN now_us END, version = coalesce(found_version, version)
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
    outcomes text[], completes boolean[], found_versions text[], trails bytea[], fetched bytea[],
    writers integer[], blueprints text[], identifiers text[], actions text[], reasons text[], documents bytea[],
    digests bytea[], refresh_lanes text[], deleted bytea,
    droppers integer[], dropped_blueprints text[], dropped_identifiers text[],
    askers integer[], processors text[], configs text[], kinds text[], keys text[], lanes text[],
    run_delays bigint[], errors text[], versions text[], passed_on text
) RETURNS TABLE (place integer, woke boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    now_us bigint := writing_us(given_us);
    it record;
    claim runs;
    touched bigint[] := '{}';
    change bigint[] := '{0,0,0}';
    mine record;
    dropped record;
    asked record;
    owing record;
    made text;
    low integer;  -- what a claim wrote and dropped stands together in the arrays
    high integer;
    stamped bigint[];
    late bigint[];
    passed record;
    ended integer[] := '{}';
    began bigint[] := '{}';
    owed owed_refresh[];
    shrinks boolean;
    may_spare boolean;
BEGIN
    PERFORM hold_lanes(ARRAY(SELECT lane FROM runs WHERE id = ANY (ids)) || lanes);
    IF cardinality(processors) > 0 THEN
        PERFORM note_processors(processors);
    END IF;
    PERFORM 1 FROM runs WHERE id = ANY (ids) ORDER BY id FOR UPDATE;
    may_spare := EXISTS (SELECT FROM doomed WHERE run_id = ANY (ids));
    PERFORM 1 FROM unnest(blueprints, identifiers) AS given (blueprint, identifier)
        JOIN entities ON entities.blueprint = given.blueprint AND entities.identifier = given.identifier
        ORDER BY entities.blueprint, entities.identifier FOR NO KEY UPDATE OF entities;
    FOR it IN
        SELECT * FROM unnest(ids, tokens, states, failed, delays, details, outcomes, completes, found_versions, trails, fetched)
            WITH ORDINALITY AS given (id, token, state, failed, delay_us, detail, outcome, completes, version, trail,
                fetched, place)
    LOOP
        SELECT * INTO claim FROM runs WHERE id = it.id AND token = it.token AND state = 'claimed';
        CONTINUE WHEN NOT FOUND;
        place := it.place;
        woke := end_claim(now_us, it.id, it.token, claim.lane, it.state, it.failed, it.delay_us, it.detail,
            it.version);
        change := ARRAY[change[1] + (it.state = 'ready')::int, change[2] + 1, change[3] + (it.state = 'dead')::int];
        touched := touched || it.id;
        ended := ended || place;
        began := began || claim.claimed_us;
        low := array_position(writers, place);
        high := low + cardinality(array_positions(writers, place)) - 1;
        SELECT blueprints[low:high] AS blueprints, identifiers[low:high] AS identifiers, actions[low:high] AS actions,
                reasons[low:high] AS reasons, documents[low:high] AS documents, digests[low:high] AS digests,
                refresh_lanes[low:high] AS refresh_lanes
            INTO mine;
        low := CASE WHEN it.completes THEN array_position(droppers, place) END;
        high := low + cardinality(array_positions(droppers, place)) - 1;
        SELECT dropped_blueprints[low:high] AS blueprints, dropped_identifiers[low:high] AS identifiers INTO dropped;
        IF it.state IN ('ignored', 'rejected') AND claim.event_count > 1 THEN
            passed := pass_on(now_us, claim, passed_on);
            touched := touched || passed.run_id;
            PERFORM tally(0, 1, 0, 0, 0) WHERE passed.made;
            woke := true;
        END IF;
        FOR asked IN
            SELECT given.* FROM unnest(askers, processors, configs, kinds, keys, lanes, run_delays, errors, versions)
                AS given (asker, processor, config, kind, key, lane, delay_us, error, version)
            WHERE place = ANY (askers) AND asker = place
        LOOP
            made := request_run(now_us, claim.newest_seq, claim.path, asked.processor, asked.config, asked.kind,
                asked.key, asked.lane, asked.delay_us, asked.error, asked.version);
            PERFORM tally(0, (made = 'ready')::int, (made = 'held')::int, 0, 0) WHERE made IS NOT NULL;
            woke := woke OR coalesce(made = 'ready', false);
        END LOOP;
        owed := '{}';
        shrinks := it.completes AND (dropped.blueprints IS NOT NULL OR 'delete' = ANY (mine.actions));
        IF shrinks THEN
            stamped := overlapped(claim, mine.blueprints, mine.identifiers);
            late := came_late(claim, mine.blueprints, mine.identifiers);
        END IF;
        IF mine.blueprints IS NOT NULL THEN
            owed := ARRAY(SELECT journal(now_us, claim, mine.blueprints, mine.identifiers, mine.actions, mine.reasons,
                mine.documents, mine.digests, mine.refresh_lanes, deleted));
        END IF;
        IF shrinks THEN
            owed := owed || ARRAY(SELECT shrink(claim, dropped.blueprints, dropped.identifiers, mine.blueprints,
                mine.identifiers, mine.actions, mine.refresh_lanes, stamped, late));
        END IF;
        IF may_spare AND it.delay_us IS NULL THEN
            owed := owed || ARRAY(SELECT spare(claim, mine.blueprints, mine.identifiers, mine.digests));
        END IF;
        IF cardinality(owed) > 0 THEN
            FOR owing IN
                SELECT * FROM (
                    SELECT DISTINCT ON (run_id) * FROM unnest(owed) WITH ORDINALITY AS found (run_id, entity_lane, why, part)
                    WHERE run_id IS NOT NULL ORDER BY run_id, part
                ) AS firsts ORDER BY part
            LOOP
                touched := touched || owe(now_us, owing.run_id, owing.entity_lane, owing.why);
                woke := true;
            END LOOP;
        END IF;
        RETURN NEXT;
    END LOOP;
    INSERT INTO attempts (token, run_id, started_us, finished_us, outcome, detail, trail, fetched)
        SELECT tokens[place], ids[place], began_us, now_us, outcomes[place], details[place], trails[place], fetched[place]
        FROM unnest(ended, began) AS one (place, began_us);
    PERFORM tally(0, change[1], 0, -change[2], change[3]);
    PERFORM conclude(now_us, touched);
END
$$;
