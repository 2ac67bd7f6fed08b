"""Whether a run that is to go on has the config that it began with."""

from collections.abc import Mapping
from typing import Any

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.runs.folder import RunFolder
from trunkline.training.going_on import check_epochs


def check_same(run: RunFolder, config: Config) -> Config:
    """The config that a run goes on with: the one it began with; only its end may move.

    Raises:
        UserError: no run to go on with, or another config.
    """
    if not run.checkpoint.exists() or not run.config.exists():
        raise UserError(f"{run.path} holds no checkpoint to resume; train without --resume")
    began = Config.make(run.config)
    changed: list[str] = []
    for section in ("tasks", "network", "balance", "optimizer", "features"):
        before, now = getattr(began, section), getattr(config, section)
        if before != now and now != "auto":
            changed += _differences(section, _plain(before), _plain(now))
    may = {
        "epochs",
        "patience",
        "log_every",
        "log_gradients",
        "trackers",
        "checkpoint_minutes",
        "bad_batches",
        "callbacks",
    }
    changed += _differences("training", began.training.model_dump(exclude=may), config.training.model_dump(exclude=may))
    changed += _differences("data", _rows_of(began), _rows_of(config))
    if changed:
        raise UserError(
            f"{run.path} was begun with another config: {'; '.join(changed[:8])}; resume with {run.config}, "
            "or train anew into another folder"
        )
    check_epochs(run, began, config)
    return began.model_copy(update={"training": config.training})


def check_content(run: RunFolder, content: Mapping[str, str]) -> None:
    """A run goes on with the rows of databases that it began with.

    Args:
        run: its folder.
        content: stands for the rows as they were read now, by URL.

    Raises:
        UserError: a table that has other rows, or the same in another order.
    """
    began = Config.make(run.config).data.content or {}
    changed = [url for url, found in content.items() if began.get(url, found) != found]
    if changed:
        raise UserError(
            f"{url} gives other rows, or another order of them, than when {run.path} was begun; train anew into "
            "another folder, or write the rows into a file first"
            for url in changed
        )


def _rows_of(config: Config) -> dict[str, Any]:
    """What decides which rows train; files may have moved."""
    raw = config.data.model_dump(exclude={"train", "valid", "test", "ignore", "content", "store"})
    split = raw.get("split") or {}
    split.pop("result", None)
    return {**raw, "split": {**split, "stratify": config.strata}} if split else raw


def _plain(section: Any) -> Any:
    """A section of the config in plain values."""
    if isinstance(section, dict):
        return {name: _plain(one) for name, one in section.items()}
    return section.model_dump() if hasattr(section, "model_dump") else section


def _differences(path: str, before: Any, now: Any) -> list[str]:
    """Each key that differs, with both values: `training.batch_size is 512 and was 64`."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        return [told for key in keys for told in _differences(f"{path}.{key}", before.get(key), now.get(key))]
    return [f"{path} is {now!r} and was {before!r}"]
