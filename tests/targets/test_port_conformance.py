"""The Port target passes the conformance suite of targets, against the Port stub."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tidegate.core.entities import EntityRef
from tidegate.core.resources import TargetOptions
from tidegate.targets.port import PortTarget
from tidegate.testing.port_stub import PortStub
from tidegate.testing.target_suite import TARGET_CASES, TargetUnderTest


@asynccontextmanager
async def port_under_test(options: TargetOptions) -> AsyncGenerator[TargetUnderTest]:
    async with PortStub() as stub:
        target, other = (
            PortTarget(
                stub.url,
                stub.client_id,
                stub.client_secret,
                integration_identifier=name,
                integration_type="mlflow",
                options=options,
            )
            for name in ("main", "other one")
        )

        async def stored(ref: EntityRef) -> dict[str, Any] | None:
            return stub.entities.get(ref)

        try:
            yield TargetUnderTest(target, other, stored)
        finally:
            await target.close()
            await other.close()


@pytest.mark.parametrize("name", TARGET_CASES)
def test_port_target_conforms(name: str) -> None:
    asyncio.run(TARGET_CASES[name](port_under_test))
