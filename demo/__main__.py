"""`make demo`: start MLflow and Tidegate, drive the registry, show what happens, clean up."""

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.markup import escape

from demo.children import ChildFailedError
from demo.drive import Burst, Driver, Tally
from demo.mlflow_server import MlflowCallError, MlflowServer, mlflow_server
from demo.scenario import Scenario
from demo.show import Display, entity_lines, percentile
from demo.tidegate_server import TidegateSettings, start_tidegate, until_ready
from demo.truth import MODEL, VERSION, differences, registry_snapshot
from demo.watching import CatalogWatch, watching

DATA = Path(__file__).resolve().parent.parent / ".tidegate" / "demo"
VERIFY_SECONDS = 30.0


def main() -> int:
    arguments = _arguments()
    display = Display(Console(highlight=False))
    DATA.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=DATA))
    try:
        passed = asyncio.run(_demo(arguments, display, directory))
    except (ChildFailedError, MlflowCallError) as error:
        display.line(f"\n[bold red]The demo failed[/]: {escape(str(error))}")
        display.line(f"Logs and data: {directory}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        display.line("\nstopped")
        shutil.rmtree(directory, ignore_errors=True)
        return 130
    shutil.rmtree(directory, ignore_errors=True)
    return 0 if passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="drive, verify, exit with 0 or 1")
    parser.add_argument("--changes", type=int, default=50, help="how many changes to make (50)")
    parser.add_argument("--seed", type=int, default=7, help="which changes (7)")
    return parser.parse_args()


async def _demo(arguments: argparse.Namespace, display: Display, directory: Path) -> bool:
    """Everything, from start to clean-up. True if the catalog equals MLflow's registry."""
    current = asyncio.current_task()
    assert current is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, current.cancel)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        with display.waiting("Starting MLflow", "MLflow runs"):
            mlflow = await stack.enter_async_context(mlflow_server(directory))
        settings = TidegateSettings(directory, mlflow.url, secrets.token_urlsafe(24))
        with display.waiting("Starting Tidegate", "Tidegate runs"):
            tidegate = await start_tidegate(settings)
            stack.push_async_callback(tidegate.stop)
            await until_ready(tidegate, settings, session)
        await mlflow.create_webhook(settings.webhook_url, settings.secret)
        display.line(
            f"  MLflow   {mlflow.url}\n  Tidegate {settings.webhook_url} (webhooks)\n"
            f"  Console  {settings.admin_url}/console"
        )
        watch = await stack.enter_async_context(watching(session, settings.admin_url))
        driver = Driver(mlflow, session, settings.admin_url, watch, display, Scenario(arguments.seed))
        tally = await driver.drive(arguments.changes)
        burst = await driver.burst()
        passed = await _verify(session, mlflow, watch, display)
        _summarise(display, tally, burst)
        if not arguments.once:
            with suppress(asyncio.CancelledError):  # Ctrl-C is how this ends
                await _stay(display, settings, mlflow, watch)
        return passed and tally.late == 0


async def _verify(
    session: aiohttp.ClientSession, mlflow: MlflowServer, watch: CatalogWatch, display: Display
) -> bool:
    """Compare the whole catalog with what MLflow's API says now."""
    expected = await registry_snapshot(session, mlflow.url)
    await watch.first_equal(expected, time.time(), VERIFY_SECONDS)
    wrong = differences(expected, watch.current)
    display.line()
    if not wrong:
        models = sum(blueprint == MODEL for blueprint, _ in expected)
        versions = sum(blueprint == VERSION for blueprint, _ in expected)
        display.line(
            f"[green]✓[/] the catalog equals MLflow's registry: {models} models, {versions} versions"
        )
        return True
    display.line(
        "[bold red]✗ the catalog differs from MLflow's registry[/] (+ missing, - too many, ~ other):"
    )
    for difference in wrong:
        display.console.print(f"  {difference}", markup=False)
    return False


def _summarise(display: Display, tally: Tally, burst: Burst) -> None:
    fresh = tally.freshness_seconds
    display.line(
        f"  {tally.changes} changes one by one in {tally.seconds:.1f} s, {tally.silent} of them without a webhook; "
        f"fresh after p50 {percentile(fresh, 50) * 1000:.0f} ms, p99 {percentile(fresh, 99) * 1000:.0f} ms"
    )
    caught_up = burst.caught_up_seconds
    when = (
        "the catalog did not catch up"
        if caught_up is None
        else f"fresh {caught_up * 1000:.0f} ms after the last"
    )
    display.line(
        f"  {burst.changes} changes in a burst of {burst.seconds:.1f} s: "
        f"{burst.webhooks} webhooks became {burst.runs} runs; {when}"
    )


async def _stay(
    display: Display, settings: TidegateSettings, mlflow: MlflowServer, watch: CatalogWatch
) -> None:
    """Keep everything up until Ctrl-C, and show what changes in the catalog meanwhile."""
    display.line()
    display.line(f"Look around in the console: [bold]{settings.admin_url}/console[/]")
    display.line(f"The catalog as programs read it: {settings.admin_url}/v1/blueprints/{MODEL}/entities")
    display.line(f"Change something in MLflow, {mlflow.url}/#/models, and see it here. Ctrl-C ends the demo.")
    shown = watch.current
    while True:
        await watch.another_state(shown)
        latest = watch.current
        display.console.print(entity_lines(differences(latest, shown)))
        shown = latest


if __name__ == "__main__":
    sys.exit(main())
