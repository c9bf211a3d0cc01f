"""What integration authors write against: processors and the Integration."""

from tidegate.authoring.integration import Integration, Registration
from tidegate.authoring.processor import AbstractWebhookProcessor, IntegrationServices

__all__ = ["AbstractWebhookProcessor", "Integration", "IntegrationServices", "Registration"]
