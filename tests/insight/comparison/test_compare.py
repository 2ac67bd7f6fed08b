"""Whole comparisons: what is trained, what is kept, and what is said."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import trunkline
from trunkline import Comparison, Model, UserError, compare
from trunkline.insight.comparison.markdown import markdown
from trunkline.metrics import METRICS

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def frames(make_rows):
    return {part: make_rows(size, seed=seed) for seed, (part, size) in enumerate(SIZES.items())}


SIZES = {"train": 240, "valid": 120, "test": 200}


@pytest.fixture
def plain(settings):
    """Two tasks, and next to no training."""
    return settings | {
        "tasks": {"click": "binary", "dwell": "lognormal"},
        "training": settings["training"] | {"epochs": 1},
        "data": {"store": "none"},
    }


def stamps(folder, *, of="test.safetensors"):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob(of))}


def test_every_kind_of_task_is_compared_with_itself_alone(settings, frames, tmp_path):
    chance = pl.col("click") * (pl.int_range(pl.len()) % 3 == 0).cast(pl.Int8)
    frames = {part: frame.with_columns(like=chance) for part, frame in frames.items()}
    settings["tasks"]["like"] = {"kind": "binary", "space": "click"}
    settings["tasks"]["dwell"]["kind"] = "lognormal"
    found = compare(settings, vary={"balance.objective": ["sum"]}, seeds=2, jobs=1, out=tmp_path / "c", **frames)

    assert [network.label for network in found.networks] == ["alone", "config", "sum"]
    assert found.seeds == [0, 1]
    assert found.rows == SIZES
    assert found.metrics == {"click": "auc", "dwell": "spearman", "buy": "auc", "topic": "macro_auc", "like": "auc"}
    assert found.verdicts == 2 * (5 + 1)
    for network in found.networks:
        assert not network.missing
        assert list(network.tasks) == list(found.metrics)
        for name, task in network.tasks.items():
            assert task.mean.value == pytest.approx(np.mean(list(task.seeds.values())))
            assert task.mean.low < task.mean.value < task.mean.high
            if network.kind == "network":
                run = tmp_path / "c" / "runs" / network.name / "seed0"
                metrics = json.loads((run / "metrics.json").read_text())
                assert task.seeds["0"] == pytest.approx(metrics["test"][name][found.metrics[name]], abs=1e-6)
                change = found["alone"].tasks[name].mean.value
                assert task.change.value == pytest.approx(task.mean.value - change)
                assert task.change.low < task.change.value < task.change.high
                assert task.verdict in (f"{name} gains", f"{name} loses", "no difference seen")
    assert found.task_rows["like"] == SIZES["test"]
    assert found.task_rows["dwell"] < found.task_rows["click"]
    alone = Model.load(tmp_path / "c" / "runs" / "alone.buy" / "seed1")
    assert [task.name for task in alone.network.tasks] == ["buy"]
    assert alone.config.training.seed == 1
    assert found["alone"].parameters > found["config"].parameters

    clear = [name for name in found.metrics if name not in found.left_out]
    assert {name for name in found.metrics if found.metrics[name] != "spearman"} <= set(clear)  # AUCs are never near 0
    delta = [found["sum"].tasks[name].mean.value / found["alone"].tasks[name].mean.value - 1 for name in clear]
    assert found["sum"].delta.value == pytest.approx(np.mean(delta))
    assert found["sum"].verdict.startswith("the mean of ") or found["sum"].verdict == "no difference seen"
    assert Comparison.load(tmp_path / "c") == found


def test_a_task_of_pure_noise_has_a_change_and_no_part_in_the_mean(plain, frames):
    """Relative to an R² of about 0 it would be thousands of percent."""
    draw = np.random.default_rng(0)
    frames = {part: rows.with_columns(noise=draw.normal(size=len(rows))) for part, rows in frames.items()}
    plain["tasks"] = {"click": "binary", "noise": "regression"}
    plain["data"] = plain.get("data", {}) | {"ignore": ["dwell", "buy", "topic", "like"]}
    found = compare(plain, seeds=2, jobs=1, **frames)
    assert list(found.left_out) == ["noise"]
    assert found["config"].tasks["noise"].change is not None
    alone, shared = found["alone"].tasks["click"].mean.value, found["config"].tasks["click"].mean.value
    assert found["config"].delta.value == pytest.approx(shared / alone - 1)
    assert "Δm leaves out noise: " in markdown(found)
    assert found.sentence in markdown(found)


def test_a_task_alone_counts_the_rows_that_it_counts_beside_others(settings, frames, tmp_path):
    frames = {part: frame.with_columns(like=pl.col("click")) for part, frame in frames.items()}
    settings["tasks"] = {
        "click": "binary",
        "dwell": {"kind": "lognormal", "where": "click", "weight": "importance"},
        "like": {"kind": "binary", "space": "click"},
    }
    compare(settings, seeds=1, jobs=1, out=tmp_path / "c", **frames)
    runs = tmp_path / "c" / "runs"
    both = json.loads((runs / "config" / "seed0" / "metrics.json").read_text())
    for name in ("dwell", "like"):
        alone = json.loads((runs / f"alone.{name}" / "seed0" / "metrics.json").read_text())
        assert alone["test"][name]["rows"] == both["test"][name]["rows"]
        assert list(alone["test"]) == [name]


def test_one_seed_gives_no_verdict(plain, frames):
    found = compare(plain, seeds=1, jobs=1, **frames)
    assert found["config"].tasks["click"].verdict == "one seed cannot tell"
    assert found["config"].delta.low is None
    assert found.gains == found.losses == []
    assert "config: one seed cannot tell" in markdown(found)


def test_one_task_has_no_mean_over_tasks(plain, frames):
    plain["tasks"] = {"click": "binary"}
    found = compare(plain, seeds=2, jobs=1, **frames)
    assert found["config"].delta is None
    assert found.verdicts == 1
    # The same network, seed and rows: to the bit the same estimates.
    assert found["config"].tasks["click"].change.value == pytest.approx(0, abs=0.05)


def test_processes_find_what_one_process_finds_and_nothing_is_done_twice(plain, frames, tmp_path):
    vary = {"optimizer.lr": [0.01, 0.1]}
    here = compare(plain, vary=vary, seeds=2, jobs=1, out=tmp_path / "here", **frames)
    seen = []
    apart = compare(plain, vary=vary, seeds=2, jobs=2, out=tmp_path / "apart", on_event=seen.append, **frames)

    assert sum(event.done for event in seen) == 12
    assert not any(event.problem for event in seen)
    for one, other in zip(here.networks, apart.networks, strict=True):
        assert {name: task.seeds for name, task in one.tasks.items()} == {
            name: task.seeds for name, task in other.tasks.items()
        }
    before = stamps(tmp_path / "apart")
    started = []
    more = compare(
        plain,
        vary={"optimizer.lr": [0.01, 0.1], "balance.objective": ["sum"]},
        seeds=3,
        jobs=1,
        out=tmp_path / "apart",
        on_start=lambda jobs, done: started.append((len(jobs), done)),
        **frames,
    )
    assert started == [(21, 10)]  # alone, twice, for two tasks; the config and two variants
    after = stamps(tmp_path / "apart")
    assert {path: after[path] for path in before} == before
    assert len(more.seeds) == 3


def test_single_task_networks_take_the_rate_that_validation_rows_choose(plain, frames, tmp_path):
    plain["optimizer"] = {"lr": 1e-9}
    found = compare(plain, vary={"optimizer.lr": [0.02]}, seeds=2, jobs=1, out=tmp_path / "c", **frames)
    chosen = found["alone"].overrides
    for name, metric in found.metrics.items():
        valid = {}
        for setting in (f"alone.{name}", f"alone.{name},optimizer.lr=0.02"):
            runs = [tmp_path / "c" / "runs" / setting / f"seed{seed}" / "metrics.json" for seed in (0, 1)]
            valid[setting] = np.mean([json.loads(run.read_text())["valid"][name][metric] for run in runs])
        best = max(valid, key=valid.get)
        assert chosen.get(name, {}) == ({} if best == f"alone.{name}" else {"optimizer.lr": 0.02})
        assert found["alone"].tasks[name].valid == pytest.approx(valid[best])
    assert METRICS["auc"].higher_is_better


def test_a_run_that_fails_is_told_and_the_others_go_on(plain, frames, tmp_path):
    vary = {"optimizer.lr": [1e30]}
    for jobs in (1, 2):
        found = compare(plain, vary=vary, seeds=2, jobs=jobs, out=tmp_path / str(jobs), **frames)
        (bad,) = [network for network in found.networks if network.name == "optimizer.lr=1.0e+30"]
        assert set(bad.missing) == {"optimizer.lr=1.0e+30 seed 0", "optimizer.lr=1.0e+30 seed 1"}
        assert all("not a number" in why or "not numbers" in why for why in bad.missing.values())
        assert bad.tasks == {}
        assert bad.delta is None
        assert found["config"].tasks.keys() == {"click", "dwell"}
        assert "missing: optimizer.lr=1.0e+30 seed 0: " in markdown(found)
        assert "no run is done" in markdown(found)


def test_everything_wrong_is_told_at_once_and_nothing_is_written(plain, frames, tmp_path):
    with pytest.raises(UserError) as raised:
        compare(plain, vary={"balance.objective": ["fame"], "x": [1]}, seeds=0, out=tmp_path / "c", **frames)
    told = "\n".join(raised.value.problems)
    assert "fame" in told
    assert "x=1: " in told
    assert "seeds is 0" in told
    with pytest.raises(UserError) as raised:
        compare(plain, seeds=1, out=tmp_path / "c", train=frames["train"])
    assert [("valid rows" in one, "test rows" in one) for one in raised.value.problems] == [
        (True, False),
        (False, True),
    ]
    assert not (tmp_path / "c").exists()


def test_a_folder_holds_one_comparison(plain, frames, tmp_path):
    out = tmp_path / "c"
    compare(plain, seeds=1, jobs=1, out=out, **frames)
    before = stamps(out, of="*")
    with pytest.raises(UserError, match="optimizer differ"):
        compare(plain, seeds=1, jobs=1, out=out, overrides={"optimizer.lr": 0.5}, **frames)
    with pytest.raises(UserError, match="rows differ"):
        compare(plain, seeds=1, jobs=1, out=out, **frames | {"test": frames["test"][:50]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="something else"):
        compare(plain, seeds=1, jobs=1, out=tmp_path / "other", **frames)
    assert stamps(out, of="*") == before


def test_a_run_of_a_comparison_is_a_run_like_any_other(plain, frames, tmp_path):
    compare(plain, seeds=1, jobs=1, out=tmp_path / "c", **frames)
    model = Model.load(tmp_path / "c" / "runs" / "config" / "seed0")
    found = model.evaluate(frames["test"])
    wanted = json.loads((tmp_path / "c" / "runs" / "config" / "seed0" / "metrics.json").read_text())["test"]
    assert found["click"]["auc"] == pytest.approx(wanted["click"]["auc"], abs=1e-6)


LONG = """
import polars as pl
import trunkline

def start(jobs, done):
    print("started", done, "of", len(jobs), flush=True)

def event(event):
    if event.done:
        print("done", event.job.folder, event.problem, flush=True)
    elif event.line["epoch"] == 2:
        print("epoch", event.job.folder, flush=True)

if __name__ == "__main__":
    settings = {
        "data": {"store": "none"},
        "features": {"user": "categorical", "price": "numeric"},
        "tasks": {"click": "binary", "buy": "binary"},
        "network": {"sharing": {"hidden": [8]}},
        "training": {"epochs": EPOCHS, "batch_size": 8, "patience": None, "device": "cpu"},
    }
    rows = {part: pl.read_parquet(f"{part}.parquet") for part in ("train", "valid", "test")}
    found = trunkline.compare(settings, seeds=1, jobs=2, out="c", on_start=start, on_event=event, **rows)
    print("finished", sum(bool(network.missing) for network in found.networks), flush=True)
"""


@pytest.fixture
def begin(frames, tmp_path):
    """Start a comparison of so many epochs in a process of its own; called again, go on with it."""
    for part, frame in frames.items():
        frame.write_parquet(tmp_path / f"{part}.parquet")
    begun = []

    def begin(epochs):
        (tmp_path / "long.py").write_text(LONG.replace("EPOCHS", str(epochs)))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(trunkline.__file__).parents[2])}
        begun.append(
            subprocess.Popen(
                [sys.executable, "long.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
            )
        )
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.wait()
        process.stdout.close()


def until(process, word):
    """What the comparison says, to the first line that begins so."""
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(word):
            return lines
    raise AssertionError(lines)


def workers(process):
    """The processes that it has started, from whichever thread."""
    found = Path(f"/proc/{process.pid}/task").glob("*/children")
    pids = [int(pid) for one in found for pid in one.read_text().split()]
    assert pids
    return pids


def gone(pid):
    for _ in range(300):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


def epochs_of(run):
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [line["epoch"] for line in lines if "valid" in line]


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks processes up in /proc")


@needs_proc
def test_after_a_kill_no_finished_run_is_done_again_and_the_others_go_on(begin, tmp_path):
    first, runs = begin(epochs=12), tmp_path / "c" / "runs"
    until(first, "done")
    until(first, "epoch")
    for pid in workers(first):
        os.kill(pid, signal.SIGKILL)
    told = until(first, "finished")
    assert any("was killed by signal 9" in line for line in told)
    assert told[-1] != "finished 0"
    finished = stamps(runs)
    killed = [run for run in runs.glob("*/seed0") if not (run / "test.safetensors").exists()]
    resumed, *_ = [run for run in killed if run.joinpath("history.jsonl").exists() and len(epochs_of(run)) >= 3]
    before = (resumed / "history.jsonl").read_text().splitlines()[:3]
    assert len(finished) >= 1

    told = until(begin(epochs=12), "finished")
    assert told[0] == f"started {len(finished)} of 3"
    assert told[-1] == "finished 0"
    after = stamps(runs)
    assert {path: after[path] for path in finished} == finished
    assert len(after) == 3
    assert all(epochs_of(run) == list(range(12)) for run in runs.glob("*/seed0"))
    assert (resumed / "history.jsonl").read_text().splitlines()[:3] == before


@needs_proc
def test_nobody_works_on_when_the_comparison_is_interrupted_or_killed(begin, tmp_path):
    process = begin(epochs=100_000)
    until(process, "epoch")
    started = workers(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert all(gone(pid) for pid in started)
    left = [path.parent.parent for path in (tmp_path / "c" / "runs").glob("*/seed0/checkpoint/state.safetensors")]
    assert left
    done = {run: len(epochs_of(run)) for run in left}

    again = begin(epochs=100_000)
    assert "started 0 of 3" in until(again, "started")
    started = []
    for _ in range(300):
        if any(len(epochs_of(run)) > done[run] for run in left):
            started = workers(again)
            break
        time.sleep(0.1)
    assert started
    again.kill()
    assert all(gone(pid) for pid in started)


def test_no_gain_is_claimed_where_tasks_have_nothing_to_do_with_one_another(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import null_comparison

    found = null_comparison.compared(1200, 0, 3)
    assert found.gains == []
    assert all(not network.missing for network in found.networks)
