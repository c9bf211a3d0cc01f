"""Small charts as SVG, drawn on the server: they take the text's colours, and need no script."""

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT, TOP = 240, 44, 3


def sparkline(values: Sequence[float | None], label: str) -> Markup:
    """A line with its area, from zero to the largest value. Gaps stay gaps; `label` says it in words."""
    known = [value for value in values if value is not None]
    largest = max(known, default=0.0) or 1.0
    step = WIDTH / max(len(values) - 1, 1)
    lines: list[list[tuple[float, float]]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            lines.append([])
            continue
        lines[-1].append((number * step, HEIGHT - 1 - value / largest * (HEIGHT - 1 - TOP)))
    drawn = [_area(line) for line in lines if line]
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, label, Markup("").join(drawn))


def _area(line: list[tuple[float, float]]) -> Markup:
    if len(line) == 1:
        line = [line[0], (line[0][0] + 1, line[0][1])]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
    first, last = line[0][0], line[-1][0]
    return Markup(
        '<polygon class="spark-area" points="{0:.1f},{2} {3} {1:.1f},{2}"/><polyline class="spark-line" points="{3}"/>'
    ).format(first, last, HEIGHT, points)
