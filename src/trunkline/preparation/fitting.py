"""Fitting pass: features are inferred from the training rows, and encoder and labels fitted to them."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from trunkline.config import Config
from trunkline.errors import Problems, UserError
from trunkline.preparation.partition import Partition
from trunkline.preparation.written_numbers import warn_of_written_numbers
from trunkline.tables import Encoder, Feature, Labels
from trunkline.tables.doctor.taken import NO_VALUE, ONE_VALUE
from trunkline.tables.encoder import EncoderFitter
from trunkline.tables.fingerprint import key_of
from trunkline.tables.labels import LabelsFitter
from trunkline.tables.schema import Inferrer, features_of
from trunkline.tasks import Task


def infer_features(train: Partition, config: Config, tasks: Sequence[Task]) -> list[Feature]:
    """The features under `features: auto`.

    Raises:
        UserError: the rows cannot be read; there is no usable column.
    """
    left_out = _no_features(config, tasks)
    inferrer = Inferrer(leave_out=left_out, comma_likely=train.table.separator == ";")
    columns = [name for name in train.table.types if name not in left_out]
    for chunk in train.chunks(columns) if columns else ():
        inferrer.see(chunk)
    sheets = inferrer.sheets(train.chunks)
    features = features_of(sheets)
    left = [sheet for sheet in sheets if sheet.kind is None and sheet.why not in (ONE_VALUE, NO_VALUE)]
    with train.naming():
        if not features:
            why = "; ".join(f"{sheet.name}: {sheet.why}" for sheet in sheets[:10])
            told = f" ({why}); name those that are features all the same" if why else ""
            raise UserError(f"features: auto found no usable column beside the labels{told}")
    if left:
        told = "; ".join(f"{sheet.name} ({sheet.why})" for sheet in left[:20])
        more = f" and {len(left) - 20} more" if len(left) > 20 else ""
        logging.getLogger("trunkline").warning("features: auto leaves out %s%s", told, more)
    return features


def fit_encoders(
    train: Partition, config: Config, tasks: Sequence[Task], features: Sequence[Feature], problems: Problems
) -> tuple[Encoder | None, Labels | None]:
    """Encoder and labels, fitted in one pass; None where that failed, and why among the problems.

    Raises:
        UserError: the rows cannot be read.
    """
    needs = {"encoder": [feature.name for feature in features], "labels": label_columns(tasks)}
    fitters: dict[str, Any] = {
        "encoder": EncoderFitter(features),
        "labels": LabelsFitter(tasks),
    }
    columns, lacking = train.columns([name for names in needs.values() for name in names])
    for i, chunk in enumerate(train.chunks(columns)):
        if not i:
            warn_of_written_numbers(features, chunk, comma_likely=train.table.separator == ";")
        if i and lacking:
            # Gigabytes are not read to say that a column is missing; what lacks none is then not judged.
            fitters = {what: fitter for what, fitter in fitters.items() if lacking.intersection(needs[what])}
            break
        for what in list(fitters):
            try:
                with train.naming():
                    fitters[what].see(chunk)
            except UserError as error:
                for problem in error.problems:
                    problems.add(problem)
                del fitters[what]
    made: dict[str, Any] = {}
    for what, fitter in fitters.items():
        with problems.collect(), train.naming():
            made[what] = fitter.done()
    return made.get("encoder"), made.get("labels")


def fit_labels(train: Partition, tasks: Sequence[Task], known: Labels) -> Labels:
    """Labels of tasks of which some are known, from one pass over the label columns.

    Raises:
        UserError: the rows cannot be read, or what `Labels.fit` lists for the tasks that are not known.
    """
    fitter = LabelsFitter(tasks, known=known)
    columns, _ = train.columns(label_columns(tasks))
    with train.unchanged():
        for chunk in train.chunks(columns):
            fitter.see(chunk)
    with train.naming():
        return fitter.done()


def fit_key(train: Partition, config: Config, tasks: Sequence[Task], features: Sequence[Feature] | None) -> str | None:
    """A name for what is fitted to these rows; None where they cannot be told from others."""
    if not train.before:
        return None
    facts = {
        "rows": train.facts,
        "features": _no_features(config, tasks) if features is None else [one.to_plain() for one in features],
        "tasks": label_facts(tasks),
    }
    return f"fit-{key_of(facts)}"


def label_columns(tasks: Sequence[Task]) -> list[str]:
    """The columns that tasks need beside the features."""
    return [*(task.column for task in tasks), *(task.weight for task in tasks if task.weight)]


def label_facts(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """What of the tasks decides how labels are encoded."""
    elsewhere = ("reads", "gradient", "further_metrics")
    return [
        {"kind": task.kind, **{key: value for key, value in asdict(task).items() if key not in elsewhere}}
        for task in tasks
    ]


def _no_features(config: Config, tasks: Sequence[Task]) -> list[str]:
    """Columns that are no features under `features: auto`."""
    split = config.data.split
    times = [split.column] if split is not None and split.by == "time" and split.column else []
    return [*label_columns(tasks), *times, *config.data.ignore]
