"""`tidegate status`: how much work waits, is in hand, is dead."""

from tidegate.cli.options import AsJson, ConfigFile
from tidegate.cli.output import print_json, print_table
from tidegate.cli.sessions import with_engine
from tidegate.config import Settings
from tidegate.console.documents import document
from tidegate.core.inspection import Backlog
from tidegate.engines.sqlite import SqliteEngine


def status_command(json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the backlog."""

    async def read(engine: SqliteEngine, _: Settings) -> Backlog:
        return await engine.backlog()

    backlog = document(with_engine(config, read))
    if json:
        print_json(backlog)
        return
    rows = [(name.replace("_", " "), value) for name, value in backlog.items()]
    print_table(("what", "count"), rows, empty="")
