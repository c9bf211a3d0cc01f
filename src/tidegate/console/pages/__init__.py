"""The web console: pages for people, made on the server. Needs the extra `console`, and no other module does."""

from tidegate.console.pages.routes import ConsoleParts, console_routes

__all__ = ["ConsoleParts", "console_routes"]
