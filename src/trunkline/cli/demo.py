"""`trunkline demo`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

CONFIG = """\
# A simulated feed: will a user click, how long will they stay, will they buy?
data: {{train: {folder}/train.parquet, valid: {folder}/valid.parquet, test: {folder}/test.parquet}}
features:
  user: {{kind: categorical, dim: 8, min_count: 5}}
  item: {{kind: categorical, dim: 8}}
  category: {{kind: categorical}}
  device: {{kind: categorical}}
  price: {{kind: numeric, log: true}}
  age: {{kind: numeric}}
  returning: {{kind: boolean}}
  time: {{kind: datetime}}
tasks:
  click: {{kind: binary}}
  dwell: {{kind: regression, where: click}}                 # seconds, known only after a click
  purchase: {{kind: binary, where: click, reads: [click]}}  # click's estimate is a feature; its gradient stops there
network: {{sharing: {{kind: shared_bottom, hidden: [64, 32]}}, towers: {{hidden: [16]}}, dropout: 0.2}}
balance: {{objective: uncertainty}}
optimizer:
  lr: 0.002
  schedule: {{kind: warmup_cosine}}
  subnets: {{embedding: {{lr: 0.004, weight_decay: 0.1}}, "tower.purchase": {{lr: 0.001}}}}
training: {{epochs: 6, batch_size: 512, patience: 3, log_every: 20, log_gradients: true}}
"""


def demo(
    directory: Annotated[Path, typer.Argument(help="Folder for the simulated rows and the run.")] = Path("demo"),
    rows: Annotated[int, typer.Option(help="Rows to simulate.", min=1000)] = 60_000,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier demo.")] = False,
) -> None:
    """Train on a simulated feed whose true probabilities are known, and show how near each task comes to them."""
    from trunkline.cli.show import TrainingDisplay
    from trunkline.datasets import feed
    from trunkline.report import read_run, write_report
    from trunkline.report.insight import find_insight
    from trunkline.runs.folder import RunFolder
    from trunkline.training.fit import fit

    run, config = directory / "run", directory / "feed.yaml"
    if not overwrite and RunFolder(run).holds_a_run():
        RunFolder(run).start()
    directory.mkdir(parents=True, exist_ok=True)
    parts = feed.split(feed.simulate(rows, seed=seed))
    for part, frame in parts.items():
        frame.write_parquet(directory / f"{part}.parquet")
    config.write_text(CONFIG.format(folder=directory), encoding="utf-8")
    with TrainingDisplay() as display:
        model = fit(config, out=run, overwrite=overwrite, on_start=display.start, on_line=display.line, progress=False)
    show_against_truth(model, parts["test"])
    shown = replace(read_run(run), insight=find_insight(run, lambda step: None))
    write_report([shown], directory / "report.html")
    print(
        f"rows and config: {directory}\nrun: {run}\n"
        f"next: trunkline predict {run} {directory}/test.parquet --keep user --keep item -o {directory}/out.parquet\n"
        f"report: {directory / 'report.html'}"
    )


def show_against_truth(model: Any, test: "pl.DataFrame") -> None:
    """Each task's score on the test rows beside that of the true probabilities, which nothing can beat but luck."""
    from rich.console import Console
    from rich.table import Table

    from trunkline.training.display.text import number

    table = Table(title="test rows", title_justify="left")
    for column in ("task", "score", "trained", "best possible", "no model", "of the way"):
        table.add_column(column, justify="left" if column in ("task", "score") else "right")
    for name, metric, trained, best, chance in against_truth(model, test):
        share = (trained - chance) / (best - chance)
        table.add_row(name, metric, number(trained), number(best), number(chance), f"{100 * share:.0f} %")
    Console(soft_wrap=True).print(table)


def against_truth(model: Any, test: "pl.DataFrame") -> list[tuple[Any, ...]]:
    """For each task: its headline score on the test rows, the same score of the truth, and that of a constant."""
    import torch

    from trunkline.datasets.feed import TRUTH
    from trunkline.metrics import score
    from trunkline.tasks import Binary

    labels, scores = model.labels.encode(test), model.metrics["test"]
    rows = []
    for task in model.labels.tasks:
        truth = torch.from_numpy(test[TRUTH[task.name]].to_numpy().copy()).double()
        binary = isinstance(task, Binary)
        raw = torch.logit(truth) if binary else (truth - task.center) / task.scale
        best = score(task, raw[:, None], labels[task.name])[task.headline]
        rows.append((task.name, task.headline, scores[task.name][task.headline], best, 0.5 if binary else 0.0))
    return rows
