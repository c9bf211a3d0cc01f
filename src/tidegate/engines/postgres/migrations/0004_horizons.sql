-- Processors that ever had a run, so that claims need not look for them among runs.
CREATE TABLE processors (name text COLLATE "C" PRIMARY KEY);
INSERT INTO processors
    WITH RECURSIVE found (name) AS (
        (SELECT processor FROM runs WHERE due_us IS NOT NULL ORDER BY processor LIMIT 1)
        UNION ALL
        SELECT (SELECT processor FROM runs WHERE due_us IS NOT NULL AND processor > name ORDER BY processor LIMIT 1)
        FROM found WHERE name IS NOT NULL
    )
    SELECT name FROM found WHERE name IS NOT NULL;
-- Room for more than one row for each connection: see `tally`.
ALTER TABLE counters ALTER COLUMN backend TYPE bigint;
