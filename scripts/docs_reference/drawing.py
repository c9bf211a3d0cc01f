"""State diagrams as SVG, so that the documentation needs no script from elsewhere to show them.

The places of the boxes are chosen by hand; boxes and arrows come from the tables.
"""

from math import atan2, degrees, hypot
from typing import NamedTuple

from scripts.docs_reference.lifecycle import Edge

BOX_WIDTH, BOX_HEIGHT = 112, 38
_STYLE = (
    "text { font: 13px system-ui, sans-serif; text-anchor: middle; dominant-baseline: central; }"
    " .label { font-size: 12px; fill: #6b7280; } .start { text-anchor: start; } .end { text-anchor: end; }"
    " .arrow { fill: none; stroke: #8a94a6; stroke-width: 1.4; marker-end: url(#head); }"
    " .live { fill: #d7ecff; stroke: #2f7fc4; } .final { fill: #e9edf2; stroke: #8a94a6; }"
    " .dead { fill: #ffe1dc; stroke: #c4402f; } .name { fill: #1b2430; }"
)
_ARROW_HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
    ' orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="#8a94a6"/></marker></defs>'
)


class Place(NamedTuple):
    """The middle of a box, and what kind of state it is: live, final or dead."""

    x: int
    y: int
    kind: str


RUN_PLACES = {
    "held": Place(90, 50, "live"),
    "ready": Place(90, 200, "live"),
    "superseded": Place(90, 350, "final"),
    "claimed": Place(390, 200, "live"),
    "dead": Place(390, 350, "dead"),
    "applied": Place(660, 90, "final"),
    "ignored": Place(660, 165, "final"),
    "rejected": Place(660, 240, "final"),
    "discarded": Place(660, 350, "final"),
}
EVENT_PLACES = {
    "queued": Place(90, 170, "live"),
    "routed": Place(370, 170, "live"),
    "ignored": Place(660, 50, "final"),
    "applied": Place(660, 120, "final"),
    "coalesced": Place(660, 190, "final"),
    "rejected": Place(660, 260, "final"),
    "dead": Place(370, 330, "dead"),
    "discarded": Place(660, 330, "final"),
}

_LABEL_AT = {("dead", "held"): 0.7}
"""Where on its arrow a label stands whose middle is taken."""


def drawn(title: str, places: dict[str, Place], edges: list[Edge]) -> str:
    """The diagram. Raises KeyError for a state that has no place yet."""
    height = max(place.y for place in places.values()) + 45
    pairs = {(edge.source, edge.target) for edge in edges}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-50 0 800 {height}" role="img">',
        f"<title>{title}</title><style>{_STYLE}</style>",
        _ARROW_HEAD,
    ]
    parts += [_arrow(places, edge, both_ways=(edge.target, edge.source) in pairs) for edge in edges]
    parts += [_box(name, place) for name, place in places.items()]
    return "\n".join([*parts, "</svg>", ""])


def _box(name: str, place: Place) -> str:
    x, y = place.x - BOX_WIDTH // 2, place.y - BOX_HEIGHT // 2
    return (
        f'<rect class="{place.kind}" x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>'
        f'<text class="name" x="{place.x}" y="{place.y}">{name}</text>'
    )


def _arrow(places: dict[str, Place], edge: Edge, *, both_ways: bool) -> str:
    start, end = places[edge.source], places[edge.target]
    label = ", ".join(edge.labels)
    if start == end:
        x, y = start.x, start.y - BOX_HEIGHT // 2
        path = f"M{x - 22} {y} C{x - 34} {y - 44} {x + 34} {y - 44} {x + 22} {y}"
        return _path(path, label, x, y - 42)
    across, down = end.x - start.x, end.y - start.y
    length = hypot(across, down)
    bend = _bend(places, edge, both_ways=both_ways)
    # The curve's control point lies beside the middle of the straight line, to its right hand.
    control_x = (start.x + end.x) / 2 - down / length * bend
    control_y = (start.y + end.y) / 2 + across / length * bend
    from_x, from_y = _border(start, control_x, control_y)
    to_x, to_y = _border(end, control_x, control_y)
    path = f"M{from_x:.0f} {from_y:.0f} Q{control_x:.0f} {control_y:.0f} {to_x:.0f} {to_y:.0f}"
    at = _LABEL_AT.get((edge.source, edge.target), 0.5)
    label_x = _along(at, from_x, control_x, to_x)
    label_y = _along(at, from_y, control_y, to_y)
    if abs(across) > abs(down):
        tilt = degrees(atan2(down, across) if across > 0 else atan2(-down, -across))
        return _path(path, label, label_x, label_y - 9, tilt=tilt)
    side = "start" if label_x >= (start.x + end.x) / 2 else "end"
    return _path(path, label, label_x + (8 if side == "start" else -8), label_y, side)


def _along(at: float, start: float, control: float, end: float) -> float:
    """A coordinate on a curve; `at` goes from 0 to 1."""
    return (1 - at) ** 2 * start + 2 * at * (1 - at) * control + at**2 * end


def _bend(places: dict[str, Place], edge: Edge, *, both_ways: bool) -> int:
    """How far the arrow swings out: around the boxes between its ends, and clear of its way back."""
    start, end = places[edge.source], places[edge.target]
    between = any(
        name not in (edge.source, edge.target)
        and start.x == end.x == place.x
        and min(start.y, end.y) < place.y < max(start.y, end.y)
        for name, place in places.items()
    )
    if between:
        return 150
    return 26 if both_ways else 0


def _border(place: Place, x: float, y: float) -> tuple[float, float]:
    """Where the line from the middle of a box towards a point leaves the box."""
    across, down = x - place.x, y - place.y
    scale = min(
        BOX_WIDTH / 2 / abs(across) if across else 1e9,
        BOX_HEIGHT / 2 / abs(down) if down else 1e9,
    )
    return place.x + across * scale, place.y + down * scale


def _path(path: str, label: str, x: float, y: float, anchor: str = "middle", tilt: float = 0) -> str:
    turn = f' transform="rotate({tilt:.0f} {x:.0f} {y:.0f})"' if tilt else ""
    text = f'<text class="label {anchor}" x="{x:.0f}" y="{y:.0f}"{turn}>{label}</text>'
    return f'<path class="arrow" d="{path}"/>{text}'
