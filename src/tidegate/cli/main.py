"""Assembles the commands."""

import typer

from tidegate.cli.causes import causes_command
from tidegate.cli.config import config_command
from tidegate.cli.console import console_command
from tidegate.cli.deadletters import app as deadletters
from tidegate.cli.doctor import doctor_command
from tidegate.cli.entities import app as entities
from tidegate.cli.events import app as events
from tidegate.cli.exits import guarded
from tidegate.cli.init import init_command
from tidegate.cli.mapping import map_command
from tidegate.cli.mapping_diff import app as mapping
from tidegate.cli.replays import replay_events
from tidegate.cli.run import run_command
from tidegate.cli.send import send_command
from tidegate.cli.status import status_command

app = typer.Typer(
    name="tidegate",
    help="Live events for software catalogs: webhooks in, true entities out, nothing lost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init_command)
app.command("run")(run_command)
app.command("console")(console_command)
app.command("status")(status_command)
events.command("replay")(replay_events)
app.add_typer(events, name="events")
app.add_typer(entities, name="entities")
deadletters.command("causes")(causes_command)
app.add_typer(deadletters, name="deadletters")
app.command("map")(map_command)
app.add_typer(mapping, name="mapping")
app.command("send")(send_command)
app.command("config")(config_command)
app.command("doctor")(doctor_command)


def main() -> None:
    """Run the command line."""
    guarded(app)
