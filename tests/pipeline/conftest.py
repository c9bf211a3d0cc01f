"""Builds integrations in a temporary directory."""

from pathlib import Path

import pytest

from tests.pipeline.issues import MAPPING, MakeIntegration
from tidegate import AbstractWebhookProcessor, Integration


@pytest.fixture
def make_integration(tmp_path: Path) -> MakeIntegration:
    def make(*processors: type[AbstractWebhookProcessor], mapping: str = MAPPING) -> Integration:
        resources = tmp_path / ".port" / "resources"
        resources.mkdir(parents=True, exist_ok=True)
        (resources / "port-app-config.yml").write_text(mapping)
        integration = Integration(tmp_path)
        for processor in processors:
            integration.add_webhook_processor("/webhook", processor)
        return integration

    return make
