"""`tidegate status`: how much work waits, is in hand, is dead; what was done in the last minute."""

from tidegate.app.clock import SystemClock
from tidegate.cli.options import AsJson, ConfigFile
from tidegate.cli.output import print_json, print_table
from tidegate.cli.sessions import with_engine
from tidegate.config import Settings
from tidegate.console.documents import document
from tidegate.core.overviews import Overview
from tidegate.core.ports import WholeEngine
from tidegate.telemetry import OverviewReader


def status_command(json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the backlog, and with --json all that the overview of the console shows."""

    async def read(engine: WholeEngine, _: Settings) -> Overview:
        return await OverviewReader(engine, SystemClock()).read()

    overview = with_engine(config, read)
    if json:
        print_json(document(overview))
        return
    rows = [(name.replace("_", " "), value) for name, value in document(overview.backlog).items()]
    print_table(("what", "count"), rows, empty="")
