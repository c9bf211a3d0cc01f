"""`tidegate deadletters causes`: dead letters that have one cause, and what to do about it."""

from rich.padding import Padding
from rich.text import Text

from tidegate.cli.events import Since, Until
from tidegate.cli.options import AsJson, ConfigFile
from tidegate.cli.output import err, out, print_json
from tidegate.cli.sessions import with_engine
from tidegate.cli.times import parse_time, shown_time
from tidegate.config import Settings
from tidegate.console.documents import document
from tidegate.console.pages.causes import Cause, cause_key, causes_of
from tidegate.core.inspection import Page, RunFilter, RunRecord
from tidegate.core.lifecycle import RunState
from tidegate.core.ports import WholeEngine

GROUPED = 50_000
"""So many of the newest dead letters are grouped."""

EXAMPLES = 5
_PAGE = 1_000


def causes_command(
    since: Since = None, until: Until = None, json: AsJson = False, config: ConfigFile = None
) -> None:
    """Group dead letters by cause, the most frequent first: errors that differ only in names and numbers are
    one. Each with what to do about it.
    """
    where = RunFilter(state=RunState.DEAD, since=parse_time(since), until=parse_time(until))

    async def group(engine: WholeEngine, __: Settings) -> dict[str, list[RunRecord]]:
        members: dict[str, list[RunRecord]] = {}
        before: int | None = None
        for _ in range(GROUPED // _PAGE):
            page = await engine.find_runs(where, Page(_PAGE, before))
            for run in page:
                members.setdefault(cause_key(run), []).append(run)
            if len(page) < _PAGE:
                break
            before = page[-1].id
        return members

    members = with_engine(config, group)
    causes = causes_of(members, EXAMPLES)
    if json:
        print_json([_document(cause) for cause in causes])
        return
    if not causes:
        out.print("no dead letters")
    for cause in causes:
        _print(cause)
    if sum(cause.count for cause in causes) >= GROUPED:
        err.print(f"the newest {GROUPED} dead letters are grouped; there may be more")


def _print(cause: Cause) -> None:
    out.print(Text(f"{cause.count} × ", "bold red").append(cause.text, "bold"))
    of = " ".join(part for part in (cause.processor, cause.kind) if part)
    when = shown_time(cause.last_at)
    if cause.count > 1:
        when = f"{shown_time(cause.first_at)} to {when}"
    out.print(Text(f"  {of}, {when}", "dim"))
    if cause.example:
        out.print(Text(f"  as {cause.example}", "dim"))
    out.print(Padding(Text(cause.advice), (0, 0, 0, 2)), soft_wrap=False)
    runs = " ".join(str(run.id) for run in cause.newest)
    more = " …" if cause.count > len(cause.newest) else ""
    out.print(Text(f"  runs {runs}{more}: tidegate deadletters show {cause.newest[0].id}", "dim"))
    out.print()


def _document(cause: Cause) -> dict[str, object]:
    plain = document(cause)
    return {**plain, "newest": [run.id for run in cause.newest]}
