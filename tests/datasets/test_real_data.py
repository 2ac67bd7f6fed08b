"""Facts of the real data, asserted on the files that are written from them."""

from dataclasses import replace

import polars as pl
import pytest

from trunkline.datasets import dataset
from trunkline.datasets.originals import Original

pytestmark = pytest.mark.data


def written(name, folder, out):
    paths = dataset(name).write(out, folder)
    return {split: pl.read_parquet(path) for split, path in paths.items()}


@pytest.fixture(scope="module")
def census(real_data, tmp_path_factory):
    return written("census-income", real_data / "census_income_kdd", tmp_path_factory.mktemp("census"))


@pytest.fixture(scope="module")
def kuairand(real_data, tmp_path_factory):
    return written("kuairand-pure", real_data / "kuairand_pure_window", tmp_path_factory.mktemp("kuairand"))


def test_census_rows_and_positives(census):
    assert {split: part.height for split, part in census.items()} == {
        "train": 199_523,
        "valid": 49_881,
        "test": 49_881,
    }
    train = census["train"]
    held_out = pl.concat([census["valid"], census["test"]])
    assert (train["income"].sum(), held_out["income"].sum()) == (12_382, 6_186)
    assert round(100 * train["never_married"].mean(), 2) == 43.35
    assert round(100 * held_out["never_married"].mean(), 2) == 43.25
    assert (train["college"].sum(), held_out["college"].sum()) == (29_462, 14_687)


def test_census_marks(census):
    train = census["train"]
    assert (train["hisp_origin"] == "NA").sum() == 874
    assert train["mig_chg_msa"].null_count() == 99_696
    assert set(train.filter(pl.col("mig_chg_msa").is_null())["year"]) == {95}
    assert not any(part.select((pl.col(pl.String) == "?").any()).row(0).count(True) for part in census.values())
    assert train["age"].n_unique() == 91
    assert train["stock_dividends"].n_unique() == 1_478


def test_census_agrees_with_an_independent_reading(census, real_data):
    for name, parts in (("train", ["train"]), ("test", ["valid", "test"])):
        other = pl.read_parquet(real_data / "census_income_kdd" / f"{name}.parquet")
        for offset, part in enumerate(parts):
            mine = census[part]
            shared = [column for column in mine.columns if column in other.columns]
            assert len(shared) == 38
            theirs = other.gather_every(len(parts), offset).select(
                pl.col(column).replace("?", None) if mine.schema[column] == pl.String else pl.col(column)
                for column in shared
            )
            assert mine.select(shared).equals(theirs.cast(mine.select(shared).schema))


def test_kuairand_rows_and_positives(kuairand):
    sizes = {split: part.height for split, part in kuairand.items()}
    assert sizes["train"] + sizes["valid"] == 171_671
    assert sizes["test"] == 56_658
    whole = pl.concat(kuairand.values())
    positives = whole.select(pl.col("click", "long_view", "like", "profile_enter").cast(pl.Int64).sum())
    assert positives.row(0) == (100_900, 70_963, 3_915, 4_231)
    assert whole["play_time"].max() == 898.147
    assert whole["duration"].null_count() == 3_568
    assert all(part["time_ms"].is_sorted() for part in kuairand.values())
    # The log files a moment under its next day if it comes within the last hour, never the other way round.
    moment = pl.from_epoch("time_ms", time_unit="ms").dt.offset_by("8h").dt.date()
    assert set(whole.select((pl.col("date") - moment).dt.total_days()).to_series()) == {0, 1}
    assert whole["date"].n_unique() == 14
    assert whole["author_id"].null_count() == whole["register_days"].null_count() == 0
    assert set(whole["is_live_streamer"]) == {-124, 1}


def test_kuairand_originals_as_csv_give_the_same(kuairand, real_data, tmp_path):
    window = real_data / "kuairand_pure_window"
    names = {
        "log.parquet": "log_standard_4_22_to_5_08_pure.csv",
        "user_features.parquet": "user_features_pure.csv",
        "video_features_basic.parquet": "video_features_basic_pure.csv",
    }
    for stored, published in names.items():
        pl.read_parquet(window / stored).write_csv(tmp_path / published)
    known = dataset("kuairand-pure")
    unchecked = tuple(Original(file.name) for file in known.editions[0])
    paths = replace(known, editions=(unchecked,)).write(tmp_path / "out", tmp_path)
    for split, path in paths.items():
        assert pl.read_parquet(path).equals(kuairand[split])
