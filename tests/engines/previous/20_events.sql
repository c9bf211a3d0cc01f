-- Events: enqueueing, lending to routers, the end of routing.

-- Store events, in order, each unless it is a duplicate or there is no room. An event that is stored already, under
-- its very id, was accepted by a call whose answer got lost.
CREATE FUNCTION enqueue(
    given_us bigint, max_backlog bigint, event_ids text[], paths text[], received bigint[], trace_ids text[],
    delivery_ids text[], delivery_hashes bigint[], replays text[], all_headers bytea[], bodies bytea[]
) RETURNS TABLE (place bigint, outcome text, seq bigint, twin text)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    unfinished bigint;
    accepted bigint := 0;
    it record;
BEGIN
    PERFORM pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT key FROM unnest(delivery_hashes) AS key WHERE key IS NOT NULL ORDER BY 1
    ) AS sorted;
    SELECT coalesce(sum(queued_events + ready_runs + held_runs + claimed_runs), 0) INTO unfinished FROM counters;
    FOR it IN
        SELECT * FROM unnest(event_ids, paths, received, trace_ids, delivery_ids, delivery_hashes, replays, all_headers, bodies)
            WITH ORDINALITY AS given (id, path, received_us, trace_id, delivery_id, key, replay_of, headers, body, place)
    LOOP
        place := it.place;
        twin := NULL;
        SELECT events.seq INTO seq FROM events WHERE events.id = it.id;
        IF FOUND THEN
            outcome := 'accepted';
            RETURN NEXT;
            CONTINUE;
        END IF;
        IF it.key IS NOT NULL AND it.replay_of IS NULL THEN
            SELECT events.id INTO twin FROM events JOIN event_states ON event_states.seq = events.seq
                WHERE delivery_hash = it.key AND delivery_id = it.delivery_id AND path = it.path
                    AND state NOT IN ('rejected', 'dead', 'discarded')
                ORDER BY events.seq DESC LIMIT 1;
        END IF;
        IF twin IS NOT NULL THEN
            outcome := 'duplicate';
        ELSIF unfinished + accepted >= max_backlog THEN
            outcome := 'full';
        ELSE
            outcome := 'accepted';
            accepted := accepted + 1;
            seq := nextval('event_seqs');
            INSERT INTO events (seq, id, path, received_us, size_bytes, delivery_id, delivery_hash, replay_of, trace_id,
                headers, body)
            VALUES (seq, it.id, it.path, it.received_us, length(it.body), it.delivery_id, it.key, it.replay_of,
                it.trace_id, it.headers, it.body);
            INSERT INTO event_states (seq, due_us) VALUES (seq, 0);
        END IF;
        RETURN NEXT;
    END LOOP;
    IF accepted > 0 THEN
        PERFORM tally(accepted, 0, 0, 0, 0);
    END IF;
END
$$;

-- Lend queued events whose lease is free or over, oldest first. If there are fewer than asked for, a last row without
-- seq says in how many microseconds there may be more.
CREATE FUNCTION claim_events(given_us bigint, lease_us bigint, most integer)
RETURNS TABLE (
    seq bigint, token bigint, expirations integer, id text, path text, received_us bigint, delivery_id text,
    replay_of text, trace_id text, headers bytea, body bytea, wait_us bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    now_us bigint := time_us(given_us);
    lent bigint;
BEGIN
    RETURN QUERY
    WITH free AS MATERIALIZED (
        SELECT seq FROM event_states WHERE due_us = 0 ORDER BY seq LIMIT most FOR UPDATE SKIP LOCKED
    ), late AS MATERIALIZED (
        SELECT seq FROM event_states WHERE due_us > 0 AND due_us <= now_us ORDER BY due_us, seq LIMIT most
        FOR UPDATE SKIP LOCKED
    ), numbered AS MATERIALIZED (
        SELECT seq, nextval('tokens') AS token
        FROM (SELECT seq FROM (TABLE free UNION ALL TABLE late) AS found ORDER BY seq LIMIT most) AS chosen
    ), lent AS (
        UPDATE event_states AS it SET due_us = now_us + lease_us, token = numbered.token,
            expirations = it.expirations + (it.due_us > 0)::integer
        FROM numbered WHERE it.seq = numbered.seq
        RETURNING it.seq, it.token, it.expirations
    )
    SELECT lent.seq, lent.token, lent.expirations, events.id, events.path, events.received_us, events.delivery_id,
        events.replay_of, events.trace_id, events.headers, events.body, NULL::bigint
    FROM lent LEFT JOIN events ON events.seq = lent.seq
    ORDER BY lent.seq;
    GET DIAGNOSTICS lent = ROW_COUNT;
    IF lent < most THEN
        RETURN QUERY SELECT NULL::bigint, NULL::bigint, NULL::integer, NULL, NULL, NULL::bigint, NULL, NULL, NULL,
            NULL::bytea, NULL::bytea, (SELECT min(due_us) FROM event_states WHERE due_us IS NOT NULL) - now_us;
    END IF;
END
$$;

-- End claims that never reached a router.
CREATE FUNCTION give_back_events(seqs bigint[], tokens bigint[]) RETURNS void
LANGUAGE sql SET search_path FROM CURRENT AS $$
    UPDATE event_states SET due_us = 0 FROM unnest(seqs, tokens) AS given (seq, token)
    WHERE event_states.seq = given.seq AND event_states.token = given.token AND due_us IS NOT NULL
$$;

-- An event whose data cannot be read goes DEAD.
CREATE FUNCTION bury_event(given_us bigint, its_seq bigint, its_token bigint, why text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE event_states SET state = 'dead', due_us = NULL, finished_us = time_us(given_us), reason = why
    WHERE seq = its_seq AND token = its_token AND due_us IS NOT NULL;
    IF FOUND THEN
        PERFORM tally(-1, 0, 0, 0, 0);
    END IF;
END
$$;

-- Settle the routing of events: the places of those whose claim was not stale. The second group of arrays are the
-- runs that they ask for: `askers` are places in the first group.
CREATE FUNCTION route(
    given_us bigint, seqs bigint[], tokens bigint[], states text[], reasons text[],
    askers integer[], processors text[], configs text[], kinds text[], keys text[], lanes text[], delays bigint[],
    errors text[], versions text[]
) RETURNS SETOF bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    now_us bigint := time_us(given_us);
    ended bigint[];
    it record;
    made text;
    ready bigint := 0;
    held bigint := 0;
BEGIN
    PERFORM hold_lanes(lanes);
    PERFORM 1 FROM event_states WHERE seq = ANY (seqs) ORDER BY seq FOR UPDATE;
    WITH done AS (
        UPDATE event_states SET state = given.state, due_us = NULL, reason = given.reason,
            finished_us = CASE WHEN given.state <> 'routed' THEN now_us END
        FROM unnest(seqs, tokens, states, reasons) WITH ORDINALITY AS given (seq, token, state, reason, place)
        WHERE event_states.seq = given.seq AND event_states.token = given.token AND due_us IS NOT NULL
        RETURNING place
    )
    SELECT coalesce(array_agg(place), '{}') INTO ended FROM done;
    FOR it IN
        SELECT asked.*, events.path FROM unnest(askers, processors, configs, kinds, keys, lanes, delays, errors, versions)
            WITH ORDINALITY AS asked (asker, processor, config, kind, key, lane, delay_us, error, version, place)
        JOIN events ON events.seq = seqs[asker]
        WHERE asker = ANY (ended) ORDER BY place
    LOOP
        made := request_run(now_us, seqs[it.asker], it.path, it.processor, it.config, it.kind, it.key, it.lane,
            it.delay_us, it.error, it.version);
        ready := ready + coalesce(made = 'ready', false)::int;
        held := held + coalesce(made = 'held', false)::int;
    END LOOP;
    PERFORM tally(-cardinality(ended), ready, held, 0, 0);
    RETURN QUERY SELECT unnest(ended);
END
$$;
