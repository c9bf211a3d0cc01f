-- What the attempts of a live run may have deleted, noted before they did: one that dies cannot tell.
CREATE TABLE doomed (
    run_id bigint NOT NULL,
    entity_id bigint NOT NULL,
    PRIMARY KEY (run_id, entity_id)
);
