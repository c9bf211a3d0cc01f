"""Tidegate: live events for software catalogs."""
