"""What searches ask the file."""

from tidegate.engines.searching import EventTables

EVENT_TABLES = EventTables(
    events="events",
    with_bodies="events LEFT JOIN event_bodies USING (seq)",
    body="event_bodies.body",
    newest="SELECT event_seq FROM counters",
)
