"""Figures of a training, from its history."""

from trunkline.report.figure import GREY, Figure, line, spread
from trunkline.report.run import Run
from trunkline.tasks import TASK_KINDS


def training_figures(run: Run) -> list[Figure]:
    """What the history tells; figures without data are left out."""
    found = [
        _lines(run, "Training losses", "losses", "Mean since the line before, in nats.", log=True),
        _scores(run),
        _shares(run),
        _lines(
            run, "Weights of the losses", "weights", "∂objective/∂loss: what one nat of each task counts.", log=True
        ),
        _lines(
            run, "σ by task", "sigma", "Learned noise: a regression's in standardised units, of others √temperature."
        ),
        _lines(run, "Gradient norms at the fork", "gradient_norms", "Of each task's loss, unweighted.", log=True),
        _cosines(run),
        _lines(run, "Gradient weights at the fork", "fork_weights", "What the balancer gives each task's gradient."),
        _lines(run, "Learning rates by subnet", "lr", "As scheduled.", log=True, tasks=False),
        _lines(
            run,
            "Sizes of updates by subnet",
            "updates",
            "‖Δθ‖/‖θ‖ of one step, row-sparse tables left out. About 0.001 is usual; ten times more often kills ReLUs, "
            "a hundred times less learns nothing.",
            log=True,
            tasks=False,
        ),
        _entropies(run),
        _experts(run),
    ]
    return [figure for figure in found if figure is not None]


def _place(run: Run, name: str, i: int, *, tasks: bool) -> int:
    return run.tasks.index(name) if tasks and name in run.tasks else i


def _lines(run: Run, title: str, key: str, note: str, *, log: bool = False, tasks: bool = True) -> Figure | None:
    series = run.series(key)
    if not series:
        return None
    mode = {"mode": "lines+markers"} if max(len(steps) for steps, _ in series.values()) < 3 else {}
    scale = spread([value for _, values in series.values() for value in values]) if log else {}
    traces = [{**line(n, x, y, _place(run, n, i, tasks=tasks)), **mode} for i, (n, (x, y)) in enumerate(series.items())]
    return Figure(title=title, note=note, traces=traces, layout={"xaxis": {"title": "step"}, "yaxis": scale})


def _scores(run: Run) -> Figure | None:
    """Each task's headline metric on the validation rows."""
    traces = []
    for i, (name, task) in enumerate(run.config.tasks.items()):
        metric = TASK_KINDS[task.kind].headline
        points = [(entry["epoch"] + 1, (entry["valid"] or {}).get(name, {}).get(metric)) for entry in run.epochs]
        known = [(epoch, value) for epoch, value in points if value is not None]
        if known:
            x, y = [epoch for epoch, _ in known], [value for _, value in known]
            traces.append({**line(f"{name} {metric.replace('_', ' ')}", x, y, i), "mode": "lines+markers"})
    if not traces:
        return None
    best = run.metrics.get("selected_epoch")
    mark = {
        "type": "line",
        "x0": best,
        "x1": best,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"dash": "dot", "color": GREY},
    }
    return Figure(
        title="Validation scores",
        note="Each task's headline metric, higher is better; the dotted line is the selected epoch.",
        traces=traces,
        layout={
            "xaxis": {"title": "epoch", "dtick": 1 if len(run.epochs) < 12 else None},
            "shapes": [mark] if best else [],
        },
    )


def _shares(run: Run) -> Figure | None:
    """Of Σ |weight · loss|, each task's part."""
    steps, parts = [], dict[str, list[float]]()
    for entry in run.lines:
        sizes = {n: abs(loss * entry["weights"][n]) for n, loss in entry["losses"].items() if loss is not None}
        total = sum(sizes.values())
        if total > 0:
            steps.append(entry["step"])
            for name in run.tasks:
                parts.setdefault(name, []).append(sizes.get(name, 0.0) / total)
    if not steps:
        return None
    traces = [{**line(n, steps, y, i), "stackgroup": "one"} for i, (n, y) in enumerate(parts.items())]
    return Figure(
        title="Shares of the objective",
        note="Each task's weighted loss among all. One band that fills the picture is a task that drowns the others.",
        traces=traces,
        layout={"xaxis": {"title": "step"}, "yaxis": {"tickformat": ".0%", "range": [0, 1]}},
    )


def _cosines(run: Run) -> Figure | None:
    lines = [entry for entry in run.lines if entry.get("cosines")]
    pairs = [(i, j) for i in range(len(run.tasks)) for j in range(i)]
    if not lines or not pairs:
        return None
    z = [[entry["cosines"][i][j] for entry in lines] for i, j in pairs]
    names = [f"{run.tasks[j]} · {run.tasks[i]}" for i, j in pairs]
    trace = {
        "type": "heatmap",
        "x": [entry["step"] for entry in lines],
        "y": names,
        "z": z,
        "zmin": -1,
        "zmax": 1,
        "colorscale": [[0, "#b91c1c"], [0.5, "#f8fafc"], [1, "#1d4ed8"]],
        "colorbar": {"title": {"text": "cosine"}, "thickness": 12},
    }
    return Figure(
        title="Cosines of the tasks' gradients",
        note="At the fork. Blue pairs pull together, red ones against each other: they conflict.",
        traces=[trace],
        layout={"xaxis": {"title": "step"}, "height": 140 + 28 * len(pairs)},
    )


def _entropies(run: Run) -> Figure | None:
    gates: dict[str, tuple[list[int], list[float]]] = {}
    for entry in run.lines:
        for name, facts in (entry.get("gates") or {}).items():
            steps, values = gates.setdefault(name, ([], []))
            steps.append(entry["step"])
            values.append(facts["entropy"])
    if not gates:
        return None
    return Figure(
        title="Entropy of the gates",
        note="Over that of equal shares: 1 where all experts count alike, 0 where one has all.",
        traces=[line(name, x, y, i) for i, (name, (x, y)) in enumerate(gates.items())],
        layout={"xaxis": {"title": "step"}, "yaxis": {"range": [0, 1.05]}},
    )


def _experts(run: Run) -> Figure | None:
    gates = next((entry["gates"] for entry in reversed(run.lines) if entry.get("gates")), None)
    if not gates:
        return None
    experts = list(dict.fromkeys(expert for facts in gates.values() for expert in facts["use"]))
    z = [[facts["use"].get(expert) for expert in experts] for facts in gates.values()]
    trace = {
        "type": "heatmap",
        "x": experts,
        "y": list(gates),
        "z": z,
        "zmin": 0,
        "colorscale": [[0, "#f8fafc"], [1, "#1d4ed8"]],
        "colorbar": {"title": {"text": "share"}, "thickness": 12},
    }
    return Figure(
        title="Use of the experts",
        note="The mean share of each expert in what a gate lets through, at the last line. A pale column is not used.",
        traces=[trace],
        layout={"height": 160 + 28 * len(gates)},
    )
