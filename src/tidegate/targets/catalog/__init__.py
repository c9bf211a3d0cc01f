"""The embedded catalog: Port's entities on SQLite."""

from tidegate.targets.catalog.target import CatalogTarget

__all__ = ["CatalogTarget"]
