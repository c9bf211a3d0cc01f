-- One index tells what is queued as well as what is in a rare state: a lease changes none any more.
DROP INDEX events_queued;
DROP INDEX events_unusual;
CREATE INDEX events_by_state ON events (state)
    WHERE state = 'queued' OR state = 'routed' OR state = 'rejected' OR state = 'dead' OR state = 'discarded';
