"""Files that a study leaves."""

from trunkline.runs.files import write_json, write_text
from trunkline.tuning.markdown import markdown
from trunkline.tuning.result import TrialResult, Tuning
from trunkline.tuning.trial import Setup

BEST, FRONT = "best.yaml", "front"


def publish(found: Tuning, setup: Setup) -> None:
    """Write `study.json`, `study.md`, and `best.yaml` or a config in `front` for each trial on the front.

    Args:
        found: by the study.
        setup: what all trials have in common.
    """
    from filelock import FileLock

    folder = setup.folder
    with FileLock(folder / ".publish.lock"):
        if len(found.directions) == 1:
            (folder / BEST).unlink(missing_ok=True)
            for trial in found.chosen[:1]:
                write_text(folder / BEST, _config(setup, trial))
        else:
            (folder / FRONT).mkdir(exist_ok=True)
            names = {f"{trial.run}.yaml": trial for trial in found.chosen}
            for name, trial in names.items():
                write_text(folder / FRONT / name, _config(setup, trial))
            for old in (folder / FRONT).glob("*.yaml"):
                if old.name not in names:
                    old.unlink()
        write_json(folder / "study.json", found.to_json())
        write_text(folder / "study.md", markdown(found))


def _config(setup: Setup, trial: TrialResult) -> str:
    made = setup.at(trial.overrides)
    training = made.training.model_copy(update={"trackers": setup.config.training.trackers})
    return made.model_copy(update={"training": training}).to_yaml()
