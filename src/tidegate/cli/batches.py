"""Large orders in small transactions: how far it is, on a terminal; and whoever else writes is not held up."""

from collections.abc import Awaitable, Callable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tidegate.cli.output import err

BATCH = 500


def progress(*, quiet: bool) -> Progress:
    """On standard error, and only on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal)


async def in_batches(
    done: str, verb: Callable[[int], Awaitable[int]], limit: int, total: int | None, *, quiet: bool
) -> int:
    """Call `verb` with how many it may do, until it finds no more or `limit` are done; answers how many."""
    count = 0
    with progress(quiet=quiet) as bar:
        task = bar.add_task(done, total=total)
        while count < limit:
            room = min(BATCH, limit - count)
            some = await verb(room)
            count += some
            bar.update(task, completed=count)
            if some < room:
                break
    return count
