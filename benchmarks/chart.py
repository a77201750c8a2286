"""A bar chart as SVG: the cost of each kind of request in each gateway."""

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

_WIDTH, _NAME_WIDTH, _BAR_WIDTH = 760, 190, 460
_ROW, _GAP, _TOP, _BOTTOM = 18, 34, 62, 30
_OURS_COLOUR, _PEER_COLOUR = "#1f6feb", "#9aa4b2"
# Readable on light and dark pages, because a README is shown on both.
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:16px;font-weight:600}"
    ".request{font-weight:600}.note{fill:#57606a;font-size:11px}"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}}"
)

Costs = Mapping[str, Mapping[str, float]]
"""Microseconds, by the names of scenario and gateway; the first gateway is ours."""


def draw(costs: Costs, date: str) -> str:
    """The chart; in each group the longest bar is the most expensive gateway."""
    height = _TOP + sum(_GAP + _ROW * len(group) for group in costs.values()) + _BOTTOM
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="CPU a request">',
        f"<style>{_STYLE}</style>",
        _text(16, 26, "CPU time a request, in microseconds: less is better", "title"),
        _text(
            16, 46, "each group has a scale of its own; one core each, the same back end", "note"
        ),
        *_groups(costs),
        _text(16, height - 12, f"measured {date}", "note"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _groups(costs: Costs) -> Iterator[str]:
    y = _TOP
    for request, group in costs.items():
        yield _text(16, y + 20, request, "request")
        y += _GAP - 6
        dearest = max(group.values())
        for number, (name, cost) in enumerate(group.items()):
            yield from _bar(y, name, cost, cost / dearest, ours=number == 0)
            y += _ROW
        y += 6


def _bar(y: int, name: str, cost: float, share: float, *, ours: bool) -> Iterator[str]:
    length = max(2.0, share * _BAR_WIDTH)
    yield _text(28, y + 12, name)
    yield (
        f'<rect x="{_NAME_WIDTH + 16}" y="{y + 2}" width="{length:.1f}" height="{_ROW - 5}" rx="2" '
        f'fill="{_OURS_COLOUR if ours else _PEER_COLOUR}"/>'
    )
    figure = f"{cost:,.0f}" if cost >= 100 else f"{cost:.1f}"
    yield _text(round(_NAME_WIDTH + 22 + length), y + 12, figure)


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{style}>{escape(text)}</text>'
