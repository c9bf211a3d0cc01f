"""The pure heart: events, lifecycle, entities, plans and ports. No clock, no I/O, no third-party service."""
