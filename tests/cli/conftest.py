import sys

import polars as pl
import pytest
import yaml

from trunkline.cli import main


@pytest.fixture
def trunkline(monkeypatch, capsys):
    """The command line in this process: arguments -> (exit status, stdout, stderr)."""

    def trunkline(*arguments):
        monkeypatch.setattr(sys, "argv", ["trunkline", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as exit_:
            status = exit_.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    return trunkline


@pytest.fixture
def folder(tmp_path, monkeypatch, make_rows, settings):
    """The working directory, with train.csv, valid.csv, test.csv and feed.yaml."""
    monkeypatch.chdir(tmp_path)
    for seed, part in enumerate(("train", "valid", "test")):
        make_rows(120, seed=seed).write_csv(f"{part}.csv")
    settings["data"] = {"train": "train.csv", "valid": "valid.csv", "test": "test.csv"}
    (tmp_path / "feed.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return tmp_path


@pytest.fixture
def edit(folder):
    """Change one file of the folder: a table by polars expressions, the config by a function."""

    def edit(*columns, name="train.csv", **config):
        if columns:
            pl.read_csv(folder / name, infer_schema_length=None).with_columns(*columns).write_csv(folder / name)
        if config:
            raw = yaml.safe_load((folder / "feed.yaml").read_text())
            (folder / "feed.yaml").write_text(yaml.safe_dump({**raw, **config}, sort_keys=False))

    return edit
