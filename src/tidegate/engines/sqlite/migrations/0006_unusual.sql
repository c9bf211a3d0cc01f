-- For a list of more than two, every statement that touches such an index builds a table in memory first.
DROP INDEX events_unusual;
CREATE INDEX events_unusual ON events (state)
    WHERE state = 'routed' OR state = 'rejected' OR state = 'dead' OR state = 'discarded';
DROP INDEX runs_unusual;
CREATE INDEX runs_unusual ON runs (state) WHERE state = 'rejected' OR state = 'dead' OR state = 'discarded';
