-- The highest version that a run's events announce; once it is applied, the one that was found. See core/versions.py.
ALTER TABLE runs ADD COLUMN version TEXT NOT NULL DEFAULT '';
-- A lane does not go back behind what was applied on it.
CREATE INDEX runs_applied ON runs (lane, newest_seq, version) WHERE lane IS NOT NULL AND state = 'applied';
CREATE INDEX runs_dead ON runs (lane) WHERE lane IS NOT NULL AND state = 'dead';
