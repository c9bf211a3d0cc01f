-- What the attempts of a live run may have deleted, noted before they did: one that dies cannot tell.
CREATE TABLE doomed (
    run_id INTEGER NOT NULL,
    entity_id INTEGER NOT NULL,
    PRIMARY KEY (run_id, entity_id)
) STRICT, WITHOUT ROWID;
