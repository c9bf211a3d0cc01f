"""Measures all contenders side by side and prints, draws and keeps what came of it: python -m bench.compare

Rounds take turns: every contender once, then every contender again, so that a machine that is busy for a while
harms all alike. Ratios are taken within a round.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.compare.backlog import measure_backlog, measure_start
from bench.compare.contenders import (
    BENCH_BIN,
    CONTENDERS,
    ROOT,
    Contender,
    Running,
    StartError,
    world_running,
)
from bench.compare.report import Results, console, markdown, write_into_docs
from bench.compare.workloads import Workload, World, measure

WARM_UP = Workload("warm-up", "", events=200, least=3)
WORKLOADS = (
    Workload("distinct", "every event of another resource", events=10_000, least=60),
    Workload("hot", "hot resources (Zipf)", events=5_000, kind="hot", least=40),
    Workload("burst", "100 events of one resource at once", 100, kind="one", least=20, connections=100),
    Workload("slow", "third party takes 50 ms", events=2_000, delay_seconds=0.05, least=30),
    Workload("fresh10", "10 events/s", events=100, per_second=10, least=50),
    Workload("fresh200", "200 events/s", events=2_000, per_second=200, least=50),
)
QUICK = ("distinct", "burst", "fresh200")
QUICK_SCALE = 0.3
BACKLOGS = (6_000, 100_000, 1_000_000)
QUICK_SAMPLE = 5_000
"""How much of a backlog is drained where it has to be quick. What is routed ahead meanwhile is in its cost too."""


def scaled(workload: Workload, scale: float) -> Workload:
    """The same with fewer events; a burst stays what it is."""
    if scale == 1.0:
        return workload
    events = workload.events if workload.kind == "one" else int(workload.events * scale)
    return replace(workload, events=events, least=min(workload.least, 20))


def main() -> int:
    options = parse()
    if options.again:
        results = msgspec.json.decode(options.again.read_bytes(), type=Results)
        print(console(results, WORKLOADS))
        keep(results, WORKLOADS, options)
        return 0
    contenders = list(present(options.only))
    scale = QUICK_SCALE if options.quick else options.scale
    workloads = [scaled(each, scale) for each in WORKLOADS if not options.quick or each.name in QUICK]
    backlogs = BACKLOGS[:2] if options.quick else BACKLOGS
    sample = options.sample or (QUICK_SAMPLE if options.quick else max(BACKLOGS))
    results = Results(conditions(options), {each.name: each.title for each in contenders})
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory:
        folder = Path(directory)
        with world_running(folder / "world") as url:
            world = World(url)
            for number in range(options.rounds):
                for contender in contenders:
                    run(contender, world, workloads, folder / f"{number}-{contender.name}", results)
                results.add("tidegate", "start", measure_start(world, folder / f"{number}-start"))
            for events in backlogs if options.backlogs else ():
                say(f"Tidegate with {events:,} events in its backlog")
                found = measure_backlog(world, folder / f"backlog-{events}", events, min(sample, events))
                results.add("tidegate", f"backlog{events}", found)
    print(console(results, workloads))
    keep(results, workloads, options)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer events: about four minutes")
    parser.add_argument("--scale", type=float, default=1.0, help="0.3: three tenths of the events")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="NAMES", help="contenders, separated by commas")
    parser.add_argument("--no-backlogs", dest="backlogs", action="store_false")
    parser.add_argument(
        "--sample",
        type=int,
        default=0,
        help=f"events to be drained of each backlog; otherwise all, or {QUICK_SAMPLE:,} with --quick",
    )
    parser.add_argument("--output", type=Path, default=ROOT / ".tidegate" / "bench", metavar="FOLDER")
    parser.add_argument(
        "--again", type=Path, metavar="RESULTS.json", help="measure nothing: tell what was measured before"
    )
    parser.add_argument("--docs", action="store_true", help="put tables and chart into docs/explanation")
    return parser.parse_args()


def present(only: str) -> Iterator[Contender]:
    """The contenders whose environments are there or can be made; says which are skipped, and why."""
    names = [name for name in only.split(",") if name]
    for contender in CONTENDERS:
        if names and contender.name not in names:
            continue
        if contender.environment:
            bootstrap = subprocess.run([ROOT / "scripts" / "bootstrap", contender.environment], check=False)
            if bootstrap.returncode:
                say(f"{contender.title} is skipped: see above")
                continue
        yield contender


def run(
    contender: Contender, world: World, workloads: Sequence[Workload], folder: Path, results: Results
) -> None:
    say(contender.title)
    try:
        with contender.running(world.url, folder) as running:
            for workload in (
                WARM_UP,
                *(each for each in workloads if contender.works or each.name == "distinct"),
            ):
                say(f"  {workload.title or workload.name}")
                measured = measure(
                    running,
                    world,
                    workload,
                    contender.share,
                    works=contender.works,
                    quiet_seconds=contender.quiet_seconds,
                )
                results.add(contender.name, workload.name, measured)
                if workload.name == "distinct":
                    results.add(contender.name, "half", measure_half(contender, running, world, measured))
    except StartError as error:
        say(f"{contender.title} is skipped: it {error}")


def measure_half(
    contender: Contender, running: Running, world: World, measured: dict[str, float]
) -> dict[str, float]:
    """Answers at half the rate at which all were accepted."""
    rate = measured["accepted_per_second"] / 2
    workload = Workload("half", "", events=int(measured["events"] / 2), per_second=rate, least=20)
    return measure(
        running, world, workload, 1.0, works=contender.works, quiet_seconds=contender.quiet_seconds
    )


def _size(options: argparse.Namespace) -> str:
    if options.quick:
        return "quick"
    return "full" if options.scale == 1 else f"{options.scale:g} of the full"


def conditions(options: argparse.Namespace) -> dict[str, str]:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = [line.partition(": ")[2] for line in cpuinfo.splitlines() if line.startswith("model name")]
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), "
        f"{memory_kib / 2**20:.0f} GiB of memory",
        "python": platform.python_version(),
        "rounds": str(options.rounds),
        "size": _size(options),
        "load": f"{os.getloadavg()[0]:.1f} at the start",
    }


def keep(results: Results, workloads: Sequence[Workload], options: argparse.Namespace) -> None:
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    (folder / "results.md").write_text(markdown(results, workloads))
    chart = folder / "performance.png"
    if (BENCH_BIN / "python").exists():
        script = ROOT / "bench" / "compare" / "chart.py"
        subprocess.run([BENCH_BIN / "python", script, folder / "results.json", chart], check=True)
    say(f"kept in {folder}: results.json, results.md, performance.png")
    if options.docs:
        write_into_docs(results, workloads, chart)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
