-- Claims have an index of their own, as small as they are few, and leave the one of those that wait.
DROP INDEX runs_due;
CREATE INDEX runs_due ON runs (processor, due_us) WHERE state = 'ready' AND due_us IS NOT NULL;
DROP INDEX runs_claimed;
CREATE INDEX runs_claimed ON runs (id, due_us, token) WHERE state = 'claimed';
