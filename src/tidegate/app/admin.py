"""The application of the admin listener, for a service and for a console by itself."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp

from tidegate.app.adapters import has_catalog, mapper_limits, open_catalog, open_engine
from tidegate.app.clock import SystemClock, new_id
from tidegate.app.console import console_pages
from tidegate.app.listeners import admin_server, check_admin
from tidegate.app.previews import open_dry_runs
from tidegate.config import Settings
from tidegate.console import AdminParts, admin_app
from tidegate.console.admin import MetricsPage
from tidegate.core.ports import Clock, WholeEngine
from tidegate.pipeline.replaying import replay
from tidegate.targets.catalog import CatalogTarget, catalog_routes
from tidegate.telemetry import Durations, Metrics, OverviewReader


def admin_application(
    engine: WholeEngine,
    settings: Settings,
    clock: Clock,
    *,
    name: str,
    metrics: MetricsPage,
    reasons: Callable[[], Sequence[str]],
    paused: Callable[[], dict[str, str]],
    mapping_file: Path,
    catalog: CatalogTarget | None,
) -> ASGIApp:
    """Operations API, metrics, health, the console and, if there is one, the embedded catalog."""

    async def replayed(event_id: str) -> str:
        return await replay(engine, event_id, clock, new_id)

    overview = OverviewReader(engine, clock).read
    dry_runs = open_dry_runs(engine, mapper_limits(settings), catalog, clock)
    token = settings.admin.token.get_secret_value()
    pages = console_pages(
        engine,
        clock,
        name,
        overview=overview,
        paused=paused,
        reasons=reasons,
        replay=replayed,
        dry_runs=dry_runs,
        mapping_file=mapping_file,
        target=catalog,
        signs_out=bool(token),
    )
    return admin_app(
        AdminParts(
            engine=engine,
            metrics=metrics,
            reasons=reasons,
            paused=paused,
            replay=replayed,
            overview=overview,
            dry_runs=dry_runs,
            clock=clock,
            routes=[*(catalog_routes(catalog) if catalog else ()), *pages],
            token=token,
        )
    )


@asynccontextmanager
async def console_alone(settings: Settings, mapping_file: Path) -> AsyncGenerator[str]:
    """The admin listener without a service beside it, until the block ends; answers its address.

    Raises ConfigurationError.
    """
    check_admin(settings)
    name = settings.integration.identifier
    async with AsyncExitStack() as stack:
        engine = await open_engine(stack, settings)
        catalog = await open_catalog(stack, settings, name) if has_catalog(settings) else None
        app = admin_application(
            engine,
            settings,
            SystemClock(),
            name=name or "console",
            metrics=Metrics(Durations()),
            reasons=list,
            paused=dict,
            mapping_file=mapping_file,
            catalog=catalog,
        )
        server = admin_server(app, settings)
        address = await server.start()
        try:
            yield f"http://{address}"
        finally:
            await server.stop()
