"""The subnets and the cascade as a drawing: what reads what, and where gradients stop."""

from html import escape

from trunkline.report.run import Run

BOX, GAP, WIDTH, TOP = 36, 16, 150, 24


def graph(run: Run, anchor: str) -> str:
    """An SVG: features, what is shared, and a box for each task in its column of the cascade.

    Args:
        run: the run.
        anchor: of the run in the page.
    """
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
        outer = f" | {task.space}" if task.space else f" where {task.where}" if task.where else ""
        boxes.append(_box(x[name], y[name], name, f"{task.kind}{outer}", "task"))
        for read in task.reads:
            arrows.append(_arrow(x[read] + WIDTH, y[read], x[name], y[name], task.gradient, anchor))
    width = wide * step - 40
    return (
        f'<svg class="graph" viewBox="-4 0 {width + 8} {height}" role="img" style="min-width:{min(width, 640)}px" '
        f'aria-label="Features feed the {escape(run.config.network.sharing.kind)} trunk, which feeds a tower a task">'
        f'<defs><marker id="{anchor}-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>' + "".join(arrows + boxes) + "</svg>"
    )


def _depth(run: Run, name: str) -> int:
    """How many estimates come before this task's along its longest chain of reads."""
    return max((1 + _depth(run, read) for read in run.config.tasks[name].reads), default=0)


def _box(x: float, y: float, title: str, note: str, kind: str) -> str:
    return (
        f'<g class="{kind}"><rect x="{x}" y="{y}" width="{WIDTH}" height="{BOX}" rx="6"/>'
        f'<text x="{x + WIDTH / 2}" y="{y + 15}">{escape(_short(title, 20))}</text>'
        f'<text class="small" x="{x + WIDTH / 2}" y="{y + 29}">{escape(_short(note, 26))}</text></g>'
    )


def _arrow(x: float, y: float, to_x: float, to_y: float, gradient: str, anchor: str) -> str:
    y, to_y = y + BOX / 2, to_y + BOX / 2
    bend = (x + to_x) / 2
    curve = f"M{x} {y}C{bend} {y} {bend} {to_y} {to_x} {to_y}"
    return f'<path class="{gradient}" d="{curve}" marker-end="url(#{anchor}-tip)"/>'


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
