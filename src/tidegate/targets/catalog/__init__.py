"""The catalog of Tidegate's own: Port's entities in SQLite or PostgreSQL, and Port's read API over them."""

from tidegate.targets.catalog.api import catalog_routes
from tidegate.targets.catalog.places import PostgresPlace
from tidegate.targets.catalog.target import CatalogTarget

__all__ = ["CatalogTarget", "PostgresPlace", "catalog_routes"]
