"""The admin listener: operations API, metrics, health."""

from tidegate.console.admin import AdminParts, admin_app
from tidegate.console.guard import is_loopback

__all__ = ["AdminParts", "admin_app", "is_loopback"]
