"""The use cases: route, process, apply. They see ports only."""
