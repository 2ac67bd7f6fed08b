"""The subnets and the cascade as a drawing: what reads what, and where gradients stop."""

from html import escape

from trunkline.report.run import Run

BOX, GAP, WIDTH, TOP = 36, 16, 150, 24
RAIL, STEP, TALL = 26, 14, 300
"""Of the stacked drawing: room for arrows at either side, how far a reading task is indented, how wide boxes are."""
_EM = 0.6
"""Mean width of a character over the size of the font; wide ones have `_WIDE`."""
_WIDE = 1.0
_NARROW = 0x2E7F
"""The last character before those of Chinese, Japanese and Korean."""
_LEAST_SIZE = 0.8
"""Of the font, to which a line is made smaller before it is cut."""


def graph(run: Run, anchor: str) -> str:
    """The network, drawn from left to right, and once more from top to bottom for a phone; the page shows one of them.

    Args:
        run: the run.
        anchor: of the run in the page.
    """
    down = _down(run, f"{anchor}-down")
    return f'<div class="scroll across">{_across(run, anchor)}</div><div class="down">{down}</div>'


def _across(run: Run, anchor: str) -> str:
    """Features, what is shared, and a box for each task in its column of the cascade."""
    tasks = run.config.tasks
    column = {name: _depth(run, name) for name in tasks}
    rows: dict[int, int] = {}
    place = {}
    for name in tasks:
        place[name] = (column[name], rows.get(column[name], 0))
        rows[column[name]] = rows.get(column[name], 0) + 1
    tall = max(rows.values(), default=1)
    wide = 2 + max(column.values(), default=0) + 1
    height = TOP + tall * (BOX + GAP) + 8
    step = WIDTH + 46
    x = {name: (2 + col) * step for name, (col, _) in place.items()}
    y = {name: TOP + row * (BOX + GAP) for name, (_, row) in place.items()}
    middle = TOP + (tall * (BOX + GAP) - GAP - BOX) / 2
    boxes = [
        _box(0, middle, "features", f"{len(run.columns)} columns", "in"),
        _box(step, middle, run.config.network.sharing.kind, "shared", "trunk"),
    ]
    arrows = [_arrow(WIDTH, middle, step, middle, "flow", anchor)]
    for name, task in tasks.items():
        arrows.append(_arrow(step + WIDTH, middle, x[name], y[name], "flow", anchor))
        boxes.append(_box(x[name], y[name], name, _likelihood(run, name), "task"))
        for read in task.reads:
            arrows.append(_arrow(x[read] + WIDTH, y[read], x[name], y[name], task.gradient, anchor))
    width = wide * step - 40
    # Not drawn smaller than it is: where the page is narrower it scrolls inside itself.
    return _svg(run, anchor, f"-4 0 {width + 8} {height}", f"min-width:{width + 8}px", arrows + boxes)


def _down(run: Run, anchor: str) -> str:
    """The same from top to bottom: trunk's arrows on the left, those of estimates that are read on the right."""
    tasks, arrows = run.config.tasks, list[str]()
    step, deep = BOX + GAP, max((_depth(run, name) for name in run.config.tasks), default=0)
    room = TALL - STEP * (deep + 1)
    boxes = [
        _box(RAIL, 4, "features", f"{len(run.columns)} columns", "in", TALL),
        _box(RAIL, 4 + step, run.config.network.sharing.kind, "shared", "trunk", TALL),
    ]
    arrows.append(_path(f"M{RAIL + TALL / 2} {4 + BOX}V{4 + step}", "flow", anchor))
    order = sorted(tasks, key=lambda name: _depth(run, name))
    x = {name: RAIL + STEP * (1 + _depth(run, name)) for name in order}
    y = {name: 4 + (2 + i) * step for i, name in enumerate(order)}
    reads = 0
    for name in order:
        task = tasks[name]
        boxes.append(_box(x[name], y[name], name, _likelihood(run, name), "task", room))
        arrows.append(_path(f"M{RAIL} {4 + step + BOX / 2}H10V{y[name] + BOX / 2}H{x[name]}", "flow", anchor))
        for read in task.reads:
            out = RAIL + TALL + 6 + 5 * (reads % 4)
            start, end = x[read] + room, x[name] + room
            arrows.append(
                _path(f"M{start} {y[read] + BOX / 2 + 6}H{out}V{y[name] + BOX / 2 - 6}H{end}", task.gradient, anchor)
            )
            reads += 1
    height = 4 + (2 + len(order)) * step
    return _svg(run, anchor, f"0 0 {2 * RAIL + TALL} {height}", f"max-width:{2 * RAIL + TALL}px", arrows + boxes)


def _svg(run: Run, anchor: str, box: str, style: str, parts: list[str]) -> str:
    kind = escape(run.config.network.sharing.kind)
    return (
        f'<svg class="graph" viewBox="{box}" role="img" style="{style}" '
        f'aria-label="Features feed the {kind} trunk, which feeds a tower a task">'
        f'<defs><marker id="{anchor}-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>' + "".join(parts) + "</svg>"
    )


def _likelihood(run: Run, name: str) -> str:
    """A task's kind, and in which rows it counts."""
    task = run.config.tasks[name]
    outer = f" | {task.space}" if task.space else f" where {task.where}" if task.where else ""
    return f"{task.kind}{outer}"


def _depth(run: Run, name: str) -> int:
    """How many estimates come before this task's along its longest chain of reads."""
    return max((1 + _depth(run, read) for read in run.config.tasks[name].reads), default=0)


def _box(x: float, y: float, title: str, note: str, kind: str, width: float = WIDTH) -> str:
    return (
        f'<g class="{kind}"><rect x="{x}" y="{y}" width="{width}" height="{BOX}" rx="6"/>'
        f"{_text(title, x + width / 2, y + 15, 13, width - 12)}"
        f"{_text(note, x + width / 2, y + 29, 11, width - 12)}</g>"
    )


def _text(text: str, x: float, y: float, size: int, room: float) -> str:
    """A line that stays inside its box: a little smaller where it is a little too long, and cut where it is far so."""
    shown, most = text, room / _LEAST_SIZE
    while _wide(shown, size) > most:
        shown = f"{shown.removesuffix('…')[:-1]}…"
    wide = _wide(shown, size)
    smaller = f' style="font-size:{size * room / wide:.1f}px"' if wide > room else ""
    small = ' class="small"' if size < 13 else ""
    return f'<text{small} x="{x}" y="{y}"{smaller}>{escape(shown)}</text>'


def _wide(text: str, size: int) -> float:
    """About how wide a line is, rather too wide than not."""
    return size * sum(_WIDE if one.isupper() or ord(one) > _NARROW or one in "mw@%" else _EM for one in text)


def _arrow(x: float, y: float, to_x: float, to_y: float, gradient: str, anchor: str) -> str:
    y, to_y = y + BOX / 2, to_y + BOX / 2
    bend = (x + to_x) / 2
    return _path(f"M{x} {y}C{bend} {y} {bend} {to_y} {to_x} {to_y}", gradient, anchor)


def _path(line: str, gradient: str, anchor: str) -> str:
    return f'<path class="{gradient}" d="{line}" marker-end="url(#{anchor}-tip)"/>'
