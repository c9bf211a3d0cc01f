"""The composition root: the only place that picks adapters and ties them to the use cases."""
