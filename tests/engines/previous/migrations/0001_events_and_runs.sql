-- Times are microseconds since 1970 in UTC, by the database's clock. States are those of core/lifecycle.py.
-- What is looked for by a partial index leaves the index when it is done, so that a claim costs the same at any
-- backlog. What changes often stands in narrow rows, apart from what never changes.

CREATE SEQUENCE tokens;      -- of claims, and the order of writes
CREATE SEQUENCE event_seqs;
CREATE SEQUENCE run_ids;
CREATE SEQUENCE write_seqs;
-- Tokens fence writes in targets that outlive this database: a new one begins above those of an older one.
SELECT setval('tokens', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

CREATE TABLE events (
    seq bigint PRIMARY KEY,
    received_us bigint NOT NULL,
    delivery_hash bigint,         -- of delivery_id: a narrow key for a wide table
    size_bytes integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    delivery_id text COLLATE "C",
    replay_of text COLLATE "C",
    trace_id text NOT NULL,
    headers bytea NOT NULL,      -- a JSON object
    body bytea NOT NULL
);
CREATE UNIQUE INDEX events_by_id ON events (id);
CREATE INDEX events_by_delivery ON events (delivery_hash) WHERE delivery_hash IS NOT NULL;

CREATE TABLE event_states (
    seq bigint PRIMARY KEY,
    due_us bigint,               -- while QUEUED: 0, or when the router's lease ends
    token bigint NOT NULL DEFAULT 0,
    finished_us bigint,
    expirations integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'queued',
    reason text NOT NULL DEFAULT ''
);
CREATE INDEX event_states_queued ON event_states (due_us, seq) WHERE due_us IS NOT NULL;
CREATE INDEX event_states_unusual ON event_states (state, seq)
    WHERE state IN ('routed', 'rejected', 'dead', 'discarded');
CREATE INDEX event_states_prunable ON event_states (finished_us, seq)
    WHERE finished_us IS NOT NULL AND state <> 'dead';

CREATE TABLE runs (
    id bigint PRIMARY KEY,
    due_us bigint,               -- READY: when it may be claimed; CLAIMED: when its lease ends
    token bigint NOT NULL DEFAULT 0,  -- of its last claim
    claimed_us bigint,
    created_us bigint NOT NULL,
    changed_us bigint NOT NULL,
    finished_us bigint,
    newest_seq bigint NOT NULL,
    superseded_by bigint,
    event_count integer NOT NULL DEFAULT 1,
    failures integer NOT NULL DEFAULT 0,
    expirations integer NOT NULL DEFAULT 0,
    holds_lane boolean NOT NULL, -- while READY or CLAIMED on a lane
    state text NOT NULL,
    processor text COLLATE "C" NOT NULL,
    config text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    resource_key text COLLATE "C",
    lane text COLLATE "C",
    path text COLLATE "C" NOT NULL,  -- of the newest event
    detail text NOT NULL
);
CREATE INDEX runs_due ON runs (processor, due_us, id) WHERE due_us IS NOT NULL;
-- A lane has one READY or CLAIMED run at most, and one HELD run at most: the database itself sees to it.
CREATE UNIQUE INDEX runs_active ON runs (lane) WHERE holds_lane;
CREATE UNIQUE INDEX runs_held ON runs (lane) WHERE state = 'held';
CREATE INDEX runs_claimed ON runs (token) WHERE state = 'claimed';
CREATE INDEX runs_unusual ON runs (state, id) WHERE state IN ('rejected', 'dead', 'discarded');
CREATE INDEX runs_by_resource ON runs (resource_key) WHERE resource_key IS NOT NULL;
CREATE INDEX runs_superseded ON runs (superseded_by) WHERE superseded_by IS NOT NULL;

CREATE TABLE event_runs (
    event_seq bigint NOT NULL,
    run_id bigint NOT NULL,
    PRIMARY KEY (event_seq, run_id)
);
CREATE INDEX event_runs_by_run ON event_runs (run_id);

-- Ended attempts. Their writes are a range of `writes`, for all of one settlement are numbered in one go.
CREATE TABLE attempts (
    token bigint PRIMARY KEY,
    run_id bigint NOT NULL,
    started_us bigint NOT NULL,
    finished_us bigint,
    outcome text NOT NULL,
    detail text NOT NULL,
    trail bytea,                 -- JSON: [steps, warnings]
    fetched bytea                -- JSON
);
CREATE INDEX attempts_by_run ON attempts (run_id);

CREATE TABLE entities (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stamp bigint NOT NULL DEFAULT 0,  -- when it was written last, by the sequence of tokens; 0 if never
    run_id bigint,
    digest bytea,
    refresh_lane text COLLATE "C",    -- of the run that wrote it last, should that run have no lane of its own
    blueprint text COLLATE "C" NOT NULL,
    identifier text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX entities_by_name ON entities (blueprint, identifier);

CREATE TABLE writes (
    seq bigint PRIMARY KEY,
    entity_id bigint NOT NULL,
    run_id bigint NOT NULL,
    event_seq bigint NOT NULL,
    at_us bigint NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    document bytea               -- JSON
);
CREATE INDEX writes_by_entity ON writes (entity_id, seq);
CREATE INDEX writes_by_run ON writes (run_id, seq);

-- Lineage: which resource wrote which entity, from which event.
CREATE TABLE sources (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    config text COLLATE "C" NOT NULL,
    resource_key text COLLATE "C" NOT NULL  -- '' for runs without one
);
CREATE UNIQUE INDEX sources_by_name ON sources (config, resource_key);

CREATE TABLE owners (
    entity_id bigint NOT NULL,
    source_id bigint NOT NULL,
    event_seq bigint NOT NULL,
    processor text COLLATE "C" NOT NULL,
    PRIMARY KEY (entity_id, source_id)
);
CREATE INDEX owners_by_source ON owners (source_id);

-- What processes did in the last hours: see core/samples.py.
CREATE TABLE samples (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_us bigint NOT NULL,
    document bytea NOT NULL      -- JSON
);
CREATE INDEX samples_by_time ON samples (at_us);

-- How much is live or dead, as the sum of the rows: each connection to the database counts in a row of its own,
-- so that no two of them ever wait for each other here.
CREATE TABLE counters (
    backend integer PRIMARY KEY,
    queued_events bigint NOT NULL DEFAULT 0,
    ready_runs bigint NOT NULL DEFAULT 0,
    held_runs bigint NOT NULL DEFAULT 0,
    claimed_runs bigint NOT NULL DEFAULT 0,
    dead_runs bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

-- Rows change a few times in quick succession and then never again: leave room beside them for their next
-- versions, and let autovacuum come early and without pauses.
ALTER TABLE event_states SET (fillfactor = 70);
ALTER TABLE runs SET (fillfactor = 60);
ALTER TABLE entities SET (fillfactor = 80);
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['events', 'event_states', 'runs', 'event_runs', 'attempts', 'entities', 'writes',
        'sources', 'owners', 'samples', 'counters']
    LOOP
        EXECUTE format(
            'ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,'
            ' autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1,'
            ' autovacuum_vacuum_cost_delay = 0)', name);
    END LOOP;
END
$$;
