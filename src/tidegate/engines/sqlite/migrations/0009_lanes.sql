-- One index answers what is asked about a lane, from one place: who holds it, who waits behind, what was applied last.
DROP INDEX runs_active;
DROP INDEX runs_held;
DROP INDEX runs_applied;
ALTER TABLE runs RENAME COLUMN holds_lane TO place;
-- On its lane: 0 while READY or CLAIMED, -1 while HELD; APPLIED, the number of its newest event; else NULL.
UPDATE runs SET place = CASE state
    WHEN 'ready' THEN 0 WHEN 'claimed' THEN 0 WHEN 'held' THEN -1 WHEN 'applied' THEN newest_seq END
WHERE lane IS NOT NULL;
-- A lane has one READY or CLAIMED run at most, and one HELD run at most: the database itself sees to it. Applied ones
-- are any number: a NULL differs from every other.
CREATE UNIQUE INDEX runs_by_lane ON runs (lane, place, nullif(place > 0, 1)) WHERE place IS NOT NULL;
