"""Draws results.json; runs in the bench's environment, which has matplotlib: chart.py RESULTS.json CHART.png"""

import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

OURS, OTHERS = "#3f51b5", "#9fa8da"
PANELS = (
    ("distinct", "events_per_second", "events/s, end to end (more is better)", "log"),
    ("distinct", "cpu_ms_per_event", "CPU ms an event (less is better)", "log"),
    ("distinct", "accepted_per_second", "webhooks accepted/s (more is better)", "log"),
    ("distinct", "peak_mib", "peak memory, MiB (less is better)", "linear"),
)


def plain(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main(source: Path, target: Path) -> None:
    results = json.loads(source.read_text())
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), layout="constrained")
    for axis, (workload, metric, title, scale) in zip(axes.flat, PANELS, strict=True):
        bars = []
        for contender, name in results["titles"].items():
            values = results["values"].get(contender, {}).get(workload, {}).get(metric)
            if values:
                bars.append((name, values))
        names = [name for name, _ in bars][::-1]
        medians = [statistics.median(values) for _, values in bars][::-1]
        ranges = [
            [median - min(values) for (_, values), median in zip(bars[::-1], medians, strict=True)],
            [max(values) - median for (_, values), median in zip(bars[::-1], medians, strict=True)],
        ]
        colours = [OURS if name == "Tidegate" else OTHERS for name in names]
        drawn = axis.barh(names, medians, xerr=ranges, color=colours, error_kw={"lw": 1, "capsize": 2})
        axis.bar_label(drawn, [plain(median) for median in medians], padding=6, fontsize=8)
        axis.set_xscale(scale)
        axis.xaxis.set_major_formatter(lambda value, _: plain(value))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_title(title, fontsize=10, loc="left")
        axis.margins(x=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    known = results["conditions"]
    figure.suptitle(f"{known['machine']}, {known['date']}, {known['rounds']} rounds", fontsize=8)
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
