-- Names and identifiers compare as bytes do, whatever the database's collation.
CREATE TABLE blueprints (
    identifier text COLLATE "C" PRIMARY KEY,
    document text NOT NULL,
    source text NOT NULL,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL
);

-- fence: of the last change that `source` made; those of other sources and of deleted entities are in fences.
-- `properties` is answered as it was written; `valued` is what rules look into. JSONB has no NUL: its picture stands
-- there.
CREATE TABLE entities (
    blueprint text COLLATE "C" NOT NULL,
    identifier text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    source text NOT NULL,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    created_by text NOT NULL,
    updated_by text NOT NULL,
    title text,
    icon text,
    team text NOT NULL,
    properties text NOT NULL,
    relations text NOT NULL,
    valued jsonb NOT NULL GENERATED ALWAYS AS (replace(properties, '\u0000', '\u2400')::jsonb) STORED,
    PRIMARY KEY (blueprint, identifier)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE fences (
    blueprint text COLLATE "C" NOT NULL,
    identifier text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (blueprint, identifier, source)
);
CREATE INDEX fences_by_age ON fences (at_ms);

-- one row for each target of each relation; entities.relations says the same, read from the other end
CREATE TABLE edges (
    target_blueprint text COLLATE "C" NOT NULL,
    target_identifier text COLLATE "C" NOT NULL,
    blueprint text COLLATE "C" NOT NULL,
    identifier text COLLATE "C" NOT NULL,
    relation text COLLATE "C" NOT NULL,
    PRIMARY KEY (target_blueprint, target_identifier, blueprint, identifier, relation)
);
CREATE INDEX edges_by_source ON edges (blueprint, identifier, relation);

-- counts the changes of blueprints and of indexes on properties, so that every writer knows when to read them again
CREATE SEQUENCE schema_changes;
