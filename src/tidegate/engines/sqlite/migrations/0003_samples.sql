-- What each process did in a few seconds, kept for a while.
CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    document BLOB NOT NULL       -- JSON
) STRICT;
CREATE INDEX samples_by_time ON samples (at_us);
