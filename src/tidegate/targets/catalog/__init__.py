"""The embedded catalog: Port's entities on SQLite, and Port's read API over them."""

from tidegate.targets.catalog.api import catalog_routes
from tidegate.targets.catalog.target import CatalogTarget

__all__ = ["CatalogTarget", "catalog_routes"]
