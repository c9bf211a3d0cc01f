"""The columns of the records, in the order that `tidegate.engines.records` reads them."""

EVENT_RECORD = (
    "events.seq, events.id, events.path, events.state, events.received_us, events.finished_us,"
    " events.delivery_id, events.replay_of, events.reason, events.size_bytes"
)
RUN_RECORD = (
    "runs.id, runs.state, runs.path, runs.processor, runs.config, runs.kind, runs.resource_key,"
    " coalesce((SELECT events.id FROM events WHERE events.seq = runs.newest_seq), ''), runs.newest_seq,"
    " runs.event_count, runs.failures, runs.expirations, runs.created_us, runs.due_us, runs.finished_us,"
    " runs.detail, runs.superseded_by"
)
ATTEMPT_RECORD = "token, started_us, finished_us, outcome, detail, trail, fetched"
WRITE_RECORD = (
    "writes.seq, entities.blueprint, entities.identifier, writes.action, writes.reason, writes.run_id,"
    " coalesce((SELECT events.id FROM events WHERE events.seq = writes.event_seq), ''), writes.at_us,"
    " writes.document"
)
