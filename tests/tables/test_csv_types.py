"""Types guessed from a CSV's first rows are those of the whole file, or are not taken."""

import polars as pl
import pytest

from trunkline.tables import scanners
from trunkline.tables.source import Files

FIRST, LATER = 4, 3
COLUMNS = {
    "whole numbers": (["1", "2", "3", "4"], ["5", "6", "7"]),
    "a fraction later": (["1", "2", "3", "4"], ["5", "6.5", "7"]),
    "a text later": (["1", "2", "3", "4"], ["5", "x", "7"]),
    "a truth that is a word later": (["true", "false", "", "true"], ["true", "maybe", ""]),
    "a truth that is a number later": (["true", "false", "", "true"], ["true", "1", ""]),
    "numbers after nothing": (["", "", "", ""], ["", "5", "7"]),
    "fractions after nothing": (["", "", "", ""], ["", "5.5", "7"]),
    "nothing at all": ([""] * 4, [""] * 3),
    "dates": (["2024-01-01", "", "2024-01-03", "2024-02-01"], ["2024-05-01", "", "2025-01-01"]),
    "a date that is none later": (["2024-01-01", "", "2024-01-03", "2024-02-01"], ["2024-05-01", "soon", ""]),
    "a date with a time later": (["2024-01-01", "", "2024-01-03", "2024-02-01"], ["2024-05-01 10:00:00", "", ""]),
    "a number beyond 64 bits later": (["1", "2", "3", "4"], ["5", "123456789012345678901234", "7"]),
    "a fraction before": (["1", "2.5", "3", "4"], ["5", "6", "7"]),
    "text": (["a", "", "c", "d"], ["5", "6", ""]),
    "quoted": (['"a,b"', '""', '"c"', '"d"'], ['"5"', '"6"', ""]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_guess_never_differs_from_looking_at_all_rows(tmp_path, monkeypatch, name):
    first, later = COLUMNS[name]
    path = tmp_path / "rows.csv"
    lines = ["c,steady", *(f"{value},{i}" for i, value in enumerate([*first, *later]))]
    path.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(scanners, "SAMPLE", 10**6)
    whole = Files(path).read()
    monkeypatch.setattr(scanners, "SAMPLE", FIRST)
    guessed = Files(path).read()
    assert guessed.schema == whole.schema
    assert guessed.equals(whole)


def test_a_sample_of_a_steady_file_is_enough(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    pl.DataFrame({"a": range(50), "b": [0.5] * 50, "c": ["x", None] * 25}).write_csv(path)
    lengths, scan_csv = [], pl.scan_csv

    def watched(*args, **options):
        lengths.append(options["infer_schema_length"] if options["schema"] is None else "given")
        return scan_csv(*args, **options)

    monkeypatch.setattr(scanners, "SAMPLE", 10)
    monkeypatch.setattr(pl, "scan_csv", watched)
    Files(path).read()
    assert set(lengths) == {0, 10, "given"}  # as text, to guess, and as guessed
