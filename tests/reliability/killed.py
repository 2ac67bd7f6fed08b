"""Trains, resuming what is there, in forked children that are killed at random moments; prints how often.

Run: python killed.py FOLDER KILLS SEED. The folder holds train.parquet, valid.parquet and config.yaml.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from trunkline.training.fit import fit


def attempt(folder: Path) -> int:
    """A child that trains until it is done or dies."""
    child = os.fork()
    if child:
        return child
    run = folder / "run"
    begun = (run / "checkpoint" / "state.safetensors").exists() and (run / "config.yaml").exists()
    try:
        fit(folder / "config.yaml", out=run, resume=begun, overwrite=not begun)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    draw, killed, finished, longest = random.Random(seed), 0, 0, 0.3
    while killed < kills:
        child, began, wait = attempt(folder), time.monotonic(), draw.uniform(0, longest)
        while time.monotonic() - began < wait:
            time.sleep(0.001)
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
        else:
            os.kill(child, signal.SIGKILL)
            done, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            longest *= 1.05  # ever more of them get far
        elif status:
            sys.exit(f"an attempt failed after {killed} kills")
        else:
            finished += 1  # it was quicker: another one, from its beginning
            (folder / "run").rename(folder / f"finished{finished}")
    _, status = os.waitpid(attempt(folder), 0)
    if status:
        sys.exit(f"the last attempt failed after {killed} kills")
    print(killed)


if __name__ == "__main__":
    main()
