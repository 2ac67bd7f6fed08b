"""A worker process of a comparison."""

from pathlib import Path
from typing import Any

from trunkline.config import Config
from trunkline.insight.comparison.jobs import Job, run
from trunkline.insight.comparison.shared_data import opened
from trunkline.insight.parallel.worker import Tell, Work, serve

MODULE = "trunkline.insight.comparison.job_worker"


def _begin(common: dict[str, Any]) -> Work:
    encoder = Path(common["encoder"])
    data = opened(Config.make(common["config"]), encoder, common["stores"])

    def do(order: dict[str, Any], tell: Tell) -> None:
        run(Job.from_json(order), data, encoder, tell)

    return do


if __name__ == "__main__":
    serve(_begin)
