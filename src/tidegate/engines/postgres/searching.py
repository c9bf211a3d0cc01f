"""What searches ask the database."""

from tidegate.engines.postgres.reader import EVENTS
from tidegate.engines.searching import EventTables

EVENT_TABLES = EventTables(
    events=EVENTS, with_bodies=EVENTS, body="events.body", newest="SELECT max(seq) FROM events"
)
