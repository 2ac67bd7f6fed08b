from dataclasses import replace
from datetime import date
from functools import partial

import polars as pl
import pytest

from trunkline.datasets import census_income, kuairand_window
from trunkline.datasets.kuairand import KUAIRAND_PURE
from trunkline.datasets.originals import Original
from trunkline.errors import UserError


def person(**given):
    values = dict.fromkeys(census_income.COLUMNS, "Not in universe") | dict.fromkeys(census_income.NUMBERS, "1")
    return ", ".join((values | {"income_50k": "- 50000."} | given).values())


def test_census_rows_are_read_as_described(tmp_path):
    rows = [
        person(age="90", hisp_origin="NA", state_prev_res="?", det_ind_code="0", citizenship="Foreign "),
        person(income_50k="50000+.", marital_stat="Never married", education="Doctorate degree(PhD EdD)"),
        person(education="Associates degree-academic program"),
    ]
    (tmp_path / "file").write_text("\n".join(rows) + "\n")
    table = census_income.read(tmp_path / "file")
    assert table.height == 3
    assert table.row(0, named=True).items() >= {
        ("age", 90),
        ("hisp_origin", "NA"),
        ("state_prev_res", None),
        ("det_ind_code", "0"),
        ("citizenship", "Foreign"),
    }
    assert table["income"].to_list() == table["never_married"].to_list() == table["college"].to_list()
    assert table["income"].to_list() == [0, 1, 0]
    assert not {"income_50k", "marital_stat", "education", "instance_weight"} & set(table.columns)


@pytest.fixture
def tables():
    log = pl.DataFrame(
        {
            "user_id": [2, 1, 1, 2],
            "video_id": [5, 5, 6, 6],
            "date": [20220503, 20220424, 20220504, 20220508],
            "hourmin": [2300, 0, 900, 1500],
            "time_ms": [1651590000000, 1650758400000, 1651626000000, 1651993200000],
            **{name: [1, 1, 0, 1] for name in kuairand_window.WINDOW_COUNTS if name != "rows"},
            "play_time_ms": [1500, 7, 0, 250],
            "duration_ms": [0, 9000, 9000, 12345],
            "profile_stay_time": [0, 0, 0, 0],
            "comment_stay_time": [0, 0, 0, 0],
            "is_rand": [0, 0, 0, 0],
            "tab": [0, 1, 1, 14],
        }
    )
    users = pl.DataFrame(
        {
            "user_id": [1, 2],
            "user_active_degree": ["full_active", "UNKNOWN"],
            "is_lowactive_period": [0, 0],
            **{name: [-124, 1] for name in kuairand_window._USER_CODES[:2]},
            **{name: [None, 1.0] for name in kuairand_window._USER_CODES[2:]},
            **{name: [3, 4] for name in kuairand_window._USER_COUNTS},
            **{f"{name}_range": ["0", "500+"] for name in kuairand_window._USER_COUNTS},
        }
    )
    videos = pl.DataFrame(
        {
            "video_id": [5, 6],
            "author_id": [50, 60],
            "video_type": ["NORMAL", "AD"],
            "upload_dt": ["2022-04-09", "2022-04-10"],
            "upload_type": ["Web", "Kmovie"],
            "visible_status": [0.0, 0.0],
            "video_duration": [9000.0, None],
            "server_width": [720.0, 720.0],
            "server_height": [1280.0, 960.0],
            "music_id": [7, 8],
            "music_type": [None, 4.0],
            "tag": ["12,65", None],
        }
    )
    return {"log": log, "user_features": users, "video_features_basic": videos}


def small_kuairand(counts, *names):
    return replace(
        KUAIRAND_PURE,
        editions=(tuple(map(Original, names)),),
        prepare=partial(kuairand_window.prepare, counts=counts),
    )


COUNTS = {"rows": 3, "is_click": 2}


def store(tables, folder, suffix):
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        path = folder / f"{name}{suffix}"
        table.write_csv(path) if suffix == ".csv" else table.write_parquet(path)
    return small_kuairand(COUNTS, *(f"{name}{suffix}" for name in tables))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_kuairand_joins_and_splits_by_day(tables, tmp_path, suffix):
    paths = store(tables, tmp_path / "in", suffix).write(tmp_path / "out", tmp_path / "in")
    parts = {split: pl.read_parquet(path) for split, path in paths.items()}
    assert {split: part["date"].to_list() for split, part in parts.items()} == {
        "train": [date(2022, 5, 3)],
        "valid": [date(2022, 5, 4)],
        "test": [date(2022, 5, 8)],
    }
    train, valid = parts["train"].row(0, named=True), parts["valid"].row(0, named=True)
    assert (train["duration"], train["hour"], train["play_time"]) == (None, 23, 1.5)
    assert (train["tag"], train["tag_first"], train["video_age_days"]) == ("12,65", "12", 24)
    assert (valid["duration"], valid["tag"], valid["tag_first"]) == (9.0, None, None)
    assert (valid["is_live_streamer"], valid["onehot_feat17"], valid["music_type"]) == (-124, None, 4)
    outcomes = {"play_time_ms", "comment_stay_time", "profile_stay_time", "is_rand"}
    outcomes |= kuairand_window.WINDOW_COUNTS.keys() - {"long_view"}
    assert not outcomes & train.keys()
    assert set(kuairand_window.TARGETS) < train.keys()


def test_kuairand_names_every_count_that_differs(tables, tmp_path):
    store(tables, tmp_path, ".csv")
    names = [f"{name}.csv" for name in tables]
    other = small_kuairand({"rows": 4, "is_click": 2, "is_like": 1}, *names)
    with pytest.raises(UserError) as caught:
        other.write(tmp_path / "out", tmp_path)
    rows, likes = caught.value.problems
    assert "expected 4 rows, found 3" in rows
    assert "expected 1 positives of is_like, found 2" in likes
    assert not (tmp_path / "out").exists()


def test_kuairand_refuses_two_rows_for_one_user(tables, tmp_path):
    tables["user_features"] = pl.concat([tables["user_features"]] * 2)
    with pytest.raises(UserError, match="cannot be read"):
        store(tables, tmp_path, ".parquet").write(tmp_path / "out", tmp_path)


def test_kuairand_asks_for_the_edition_that_is_nearly_there(tmp_path):
    (tmp_path / "user_features.parquet").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        KUAIRAND_PURE.write(tmp_path / "out", tmp_path)
    log, users, videos = caught.value.problems
    assert log.startswith("log.parquet (or ")
    assert "expected 427,387 bytes, sha256 " in users
    assert videos.startswith("video_features_basic.parquet (or ")
