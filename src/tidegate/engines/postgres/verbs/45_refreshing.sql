-- What was written late.

-- Take what was written late for the last write, with its lineage. Answers the runs that owe a refresh because of it.
CREATE FUNCTION overwrite(
    now_us bigint, claim runs, its_token bigint, its_seq bigint, blueprints text[], identifiers text[], upserts boolean[],
    digests bytea[], refresh_lanes text[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    its_order bigint := nextval('tokens');
    its_source bigint;
    known record;
    write record;
    entity bigint;
    made bigint[] := '{}';
BEGIN
    FOR write IN
        SELECT * FROM unnest(blueprints, identifiers, upserts, digests, refresh_lanes)
            AS given (blueprint, identifier, is_upsert, digest, refresh_lane)
    LOOP
        entity := entity_of(write.blueprint, write.identifier);
        IF write.is_upsert THEN
            its_source := source_of(claim.config, claim.resource_key);
            INSERT INTO owners (entity_id, source_id, event_seq, processor, refresh_lane)
                VALUES (entity, its_source, its_seq, claim.processor,
                    CASE WHEN claim.resource_key IS NULL THEN write.refresh_lane END)
            ON CONFLICT (entity_id, source_id) DO UPDATE SET event_seq = excluded.event_seq,
                processor = excluded.processor, refresh_lane = excluded.refresh_lane
                WHERE excluded.event_seq >= owners.event_seq;
        END IF;
        CONTINUE WHEN write.digest IS NULL;
        SELECT * INTO known FROM entities WHERE id = entity;
        IF known.stamp > its_token AND known.run_id <> claim.id AND known.digest <> write.digest THEN
            made := made || owe(now_us, known.run_id, known.refresh_lane, format(
                'refresh: runs %s and %s wrote %s at the same time', known.run_id, claim.id,
                write.blueprint || '/' || write.identifier
            ));
        END IF;
        UPDATE entities SET stamp = its_order, digest = write.digest, run_id = claim.id,
            refresh_lane = CASE WHEN claim.lane IS NULL THEN write.refresh_lane END
        WHERE id = entity;
    END LOOP;
    RETURN array_remove(made, NULL);
END
$$;

-- Owe one more run to the lane, or to the event, of a run whose write came late, and to whom it overwrote; true if
-- there is one now.
CREATE FUNCTION refresh(
    given_us bigint, its_id bigint, its_token bigint, its_seq bigint, blueprints text[], identifiers text[],
    upserts boolean[], digests bytea[], refresh_lanes text[], why text
) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    now_us bigint := writing_us(given_us);
    known runs;
    newest bigint := its_id;
    made bigint[];
BEGIN
    PERFORM hold_lanes(ARRAY(SELECT lane FROM runs WHERE id = its_id));
    SELECT * INTO known FROM runs WHERE id = its_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    made := overwrite(now_us, known, its_token, its_seq, blueprints, identifiers, upserts, digests, refresh_lanes);
    -- Runs from this one on: should an older one have a newer event, that was turned away, or is applied and comes back
    -- with the claim. The runs of a lane are of one resource, if of any.
    IF known.resource_key IS NOT NULL THEN
        SELECT id INTO newest FROM runs
            WHERE resource_key = known.resource_key AND lane = known.lane AND id + 0 >= its_id
            ORDER BY newest_seq DESC, id DESC LIMIT 1;
    ELSIF known.lane IS NOT NULL THEN
        SELECT id INTO newest FROM runs WHERE id >= its_id AND lane = known.lane
            ORDER BY newest_seq DESC, id DESC LIMIT 1;
    END IF;
    newest := coalesce(newest, its_id);
    IF known.lane IS NOT NULL OR NOT EXISTS (
        SELECT FROM event_runs JOIN runs ON runs.id = event_runs.run_id
        WHERE event_runs.event_seq = known.newest_seq AND runs.newest_seq = known.newest_seq
            AND runs.processor = known.processor AND runs.config = known.config AND runs.state IN ('ready', 'held')
    ) THEN
        made := array_remove(made || owe(now_us, newest, NULL, why), NULL);
    END IF;
    PERFORM conclude(now_us, made);
    RETURN cardinality(made) > 0;
END
$$;
