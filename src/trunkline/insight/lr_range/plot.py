"""Plot of a range test that needs nothing but a browser, by day and by night."""

import math
from collections.abc import Sequence
from html import escape

from trunkline.insight.lr_range.sweeps import Ranges, Sweep

WIDTH, HEIGHT, MARGIN, TOP = 300, 130, 34, 34
COLUMNS = 2
ROOM = 1.25
"""Above the highest loss that is not yet harm: how much of a divergence is shown."""

STYLE = """
svg { font: 12px sans-serif; color: #1a1a1a; background: #fff }
.loss { stroke: #0b62c4; fill: none; stroke-width: 1.8 } .control { stroke: #8a8a8a; fill: none; stroke-dasharray: 4 3 }
.axis { stroke: currentColor; stroke-width: .6; fill: none; opacity: .6 } text { fill: currentColor }
.take { stroke: #1a7f37; stroke-width: 1.5 } .harm { stroke: #c62828; stroke-width: 1.2; stroke-dasharray: 2 2 }
@media (prefers-color-scheme: dark) {
  svg { color: #e6e6e6; background: #16181c }
  .loss { stroke: #6cb2ff } .control { stroke: #9a9a9a } .take { stroke: #57d07a } .harm { stroke: #ff7b72 }
}
"""


def to_svg(ranges: Ranges) -> str:
    """One panel a subnet: loss over rate, the control beside it, the suggested rate and the one that does harm."""
    sweeps = list(ranges.sweeps.values())
    rows = -(-len(sweeps) // COLUMNS)
    width, height = COLUMNS * (WIDTH + MARGIN) + MARGIN, rows * (HEIGHT + 2 * MARGIN) + TOP
    panels = [
        _panel(sweep, MARGIN + i % COLUMNS * (WIDTH + MARGIN), TOP + i // COLUMNS * (HEIGHT + 2 * MARGIN) + 8)
        for i, sweep in enumerate(sweeps)
    ]
    legend = "loss over the loss at the start: swept (line), at the configured rate (dashes); take (green), harm (red)"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>Learning-rate range test</title><style>{STYLE}</style>'
        f'<text x="{MARGIN}" y="18">{legend}</text>{"".join(panels)}</svg>\n'
    )


def _panel(sweep: Sweep, left: float, top: float) -> str:
    low, high = math.log10(sweep.rates[0]), math.log10(sweep.rates[-1])
    known = [loss for loss in sweep.losses if loss is not None]
    bottom = min([*known, *sweep.control])
    ceiling = bottom + ROOM * (max([*sweep.control, *known[: len(known) // 2]], default=1.0) - bottom or 1.0)

    def x(rate: float) -> float:
        return left + WIDTH * (math.log10(rate) - low) / (high - low)

    def y(loss: float) -> float:
        return top + HEIGHT * (1 - (min(loss, ceiling) - bottom) / (ceiling - bottom))

    def line(kind: str, losses: Sequence[float | None]) -> str:
        points = [f"{x(r):.1f},{y(v):.1f}" for r, v in zip(sweep.rates, losses, strict=True) if v is not None]
        return f'<polyline class="{kind}" points="{" ".join(points)}"/>'

    def upright(kind: str, rate: float) -> str:
        place = x(min(max(rate, sweep.rates[0]), sweep.rates[-1]))
        return f'<line class="{kind}" x1="{place:.1f}" x2="{place:.1f}" y1="{top}" y2="{top + HEIGHT}"/>'

    marks = [upright("take", sweep.suggestion)]
    if sweep.reading.too_high is not None:
        marks.append(upright("harm", sweep.reading.too_high))
    ticks = [
        f'<text x="{x(10.0**p):.1f}" y="{top + HEIGHT + 14}" text-anchor="middle">1e{p}</text>'
        for p in range(math.ceil(low), math.floor(high) + 1)
    ]
    scale = [f'<text x="{left - 4}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.2f}</text>' for v in (bottom, ceiling)]
    frame = f'<path class="axis" d="M{left},{top} v{HEIGHT} h{WIDTH}"/>'
    title = f'<text x="{left}" y="{top - 5}">{escape(sweep.subnet)}: {sweep.suggestion:g}</text>'
    return "".join([title, frame, *ticks, *scale, *marks, line("control", sweep.control), line("loss", sweep.losses)])
