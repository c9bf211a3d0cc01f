-- The highest version that a run's events announce; once it is applied, the one that was found. See core/versions.py.
ALTER TABLE runs ADD COLUMN version text COLLATE "C" NOT NULL DEFAULT '';
-- A lane does not go back behind what was applied on it.
CREATE INDEX runs_applied ON runs (lane, newest_seq, version) WHERE state = 'applied';
CREATE INDEX runs_dead ON runs (lane) WHERE state = 'dead';
-- Of the run that left the mark, should it have no lane of its own.
ALTER TABLE owners ADD COLUMN refresh_lane text COLLATE "C";
