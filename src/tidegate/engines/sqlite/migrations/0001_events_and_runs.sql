-- Times are microseconds since 1970 in UTC. States are those of core/lifecycle.py.
-- Rows that change are kept small: SQLite writes a whole row anew when one of its columns changes.
-- Partial indexes hold only what is looked for by them, so that a claim costs the same at any backlog.

-- One row: what is counted, so that no count and no number is ever looked for.
CREATE TABLE counters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    token INTEGER NOT NULL,      -- of claims, and the order of writes
    event_seq INTEGER NOT NULL,  -- the last one given
    run_id INTEGER NOT NULL,
    write_seq INTEGER NOT NULL,
    queued_events INTEGER NOT NULL,
    ready_runs INTEGER NOT NULL,
    held_runs INTEGER NOT NULL,
    claimed_runs INTEGER NOT NULL,
    dead_runs INTEGER NOT NULL
) STRICT;
-- Tokens fence writes in targets that outlive this file: a new file begins above those of an older one.
INSERT INTO counters VALUES (1, CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER), 0, 0, 0, 0, 0, 0, 0, 0);

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    path TEXT NOT NULL,
    state TEXT NOT NULL,
    due_us INTEGER,              -- while QUEUED: 0, or when the router's lease ends
    token INTEGER NOT NULL,
    expirations INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    finished_us INTEGER,
    size_bytes INTEGER NOT NULL,
    delivery_id TEXT,
    delivery_hash INTEGER,       -- of delivery_id: a narrow key for a wide table
    replay_of TEXT,
    reason TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_id ON events (id);
CREATE INDEX events_by_delivery ON events (delivery_hash) WHERE delivery_hash IS NOT NULL;
CREATE INDEX events_queued ON events (due_us) WHERE due_us IS NOT NULL;
CREATE INDEX events_unusual ON events (state) WHERE state IN ('routed', 'rejected', 'dead', 'discarded');
CREATE INDEX events_prunable ON events (finished_us) WHERE finished_us IS NOT NULL AND state <> 'dead';

CREATE TABLE event_bodies (
    seq INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,
    headers BLOB NOT NULL,       -- a JSON object
    body BLOB NOT NULL
) STRICT;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    due_us INTEGER,              -- READY: when it may be claimed; CLAIMED: when its lease ends
    token INTEGER NOT NULL,      -- of its last claim
    claimed_us INTEGER,
    failures INTEGER NOT NULL,
    expirations INTEGER NOT NULL,
    newest_seq INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    changed_us INTEGER NOT NULL,
    finished_us INTEGER,
    superseded_by INTEGER,
    processor TEXT NOT NULL,
    config TEXT NOT NULL,
    kind TEXT NOT NULL,
    resource_key TEXT,
    lane TEXT,
    holds_lane INTEGER,          -- 1 while READY or CLAIMED on a lane: a claim leaves it, and its index, alone
    path TEXT NOT NULL,          -- of the newest event
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX runs_due ON runs (processor, due_us) WHERE due_us IS NOT NULL;
-- A lane has one READY or CLAIMED run at most, and one HELD run at most: the database itself sees to it.
CREATE UNIQUE INDEX runs_active ON runs (lane) WHERE lane IS NOT NULL AND holds_lane IS NOT NULL;
CREATE UNIQUE INDEX runs_held ON runs (lane) WHERE lane IS NOT NULL AND state = 'held';
CREATE INDEX runs_claimed ON runs (id, token) WHERE state = 'claimed';
CREATE INDEX runs_unusual ON runs (state) WHERE state IN ('rejected', 'dead', 'discarded');
CREATE INDEX runs_superseded ON runs (superseded_by) WHERE superseded_by IS NOT NULL;

CREATE TABLE event_runs (
    event_seq INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    PRIMARY KEY (event_seq, run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_runs_by_run ON event_runs (run_id);

-- Ended attempts. Their writes are a range of `writes`: one settlement writes them in one go.
CREATE TABLE attempts (
    token INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    finished_us INTEGER,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    first_write INTEGER NOT NULL,
    write_count INTEGER NOT NULL,
    trail BLOB,                  -- JSON: [steps, warnings]
    fetched BLOB                 -- JSON
) STRICT;
CREATE INDEX attempts_by_run ON attempts (run_id);

CREATE TABLE entities (
    id INTEGER PRIMARY KEY,
    blueprint TEXT NOT NULL,
    identifier TEXT NOT NULL,
    stamp INTEGER NOT NULL,      -- when it was written last, by the counter of tokens; 0 if never
    digest BLOB,
    run_id INTEGER
) STRICT;
CREATE UNIQUE INDEX entities_by_name ON entities (blueprint, identifier);

CREATE TABLE writes (
    seq INTEGER PRIMARY KEY,
    entity_id INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    document BLOB                -- JSON
) STRICT;
CREATE INDEX writes_by_entity ON writes (entity_id);

-- Lineage: which resource wrote which entity, from which event.
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    config TEXT NOT NULL,
    resource_key TEXT NOT NULL   -- '' for runs without one
) STRICT;
CREATE UNIQUE INDEX sources_by_name ON sources (config, resource_key);

CREATE TABLE owners (
    entity_id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    processor TEXT NOT NULL,
    PRIMARY KEY (entity_id, source_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX owners_by_source ON owners (source_id);
