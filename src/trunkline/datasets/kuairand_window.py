"""The two weeks of KuaiRand-Pure as one table an impression, split by day."""

from collections.abc import Mapping
from datetime import date
from functools import reduce
from pathlib import Path

import polars as pl

from trunkline.errors import Problems

TARGETS = ("click", "long_view", "like", "profile_enter", "play_time")
"""Four 0/1 targets, and seconds of play."""

WINDOW_COUNTS = {
    "rows": 228_329,
    "is_click": 100_900,
    "long_view": 70_963,
    "is_like": 3_915,
    "is_profile_enter": 4_231,
    "is_follow": 304,
    "is_comment": 579,
    "is_forward": 195,
    "is_hate": 190,
}
"""Rows of the two weeks, and how many of them are positive in each 0/1 outcome."""

_FIRST, _VALID, _LAST = date(2022, 4, 25), date(2022, 5, 4), date(2022, 5, 8)
_USER_CODES = ("is_live_streamer", "is_video_author", *(f"onehot_feat{k}" for k in range(18)))
_USER_COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")


def prepare(originals: Mapping[str, Path], *, counts: Mapping[str, int] = WINDOW_COUNTS) -> dict[str, pl.DataFrame]:
    """Join the three tables and split by day: to 3 May `train`, 4 May `valid`, from 5 May `test`.

    Args:
        originals: a log, a user table and a video table, in this order, as CSV or Parquet.
        counts: what the log must hold in the two weeks.

    Raises:
        UserError: if the log does not hold that, naming every count that differs.
    """
    log, users, videos = (_table(path) for path in originals.values())
    log = log.with_columns(day=pl.col("date").cast(pl.String).str.to_date("%Y%m%d"))
    log = log.filter(pl.col("day").is_between(_FIRST, _LAST))
    _check(log, counts, next(iter(originals.values())))
    parts = (_log(log), _users(users), _videos(videos))
    # `m:1` refuses a table with two rows for one key, so the number of impressions cannot change.
    joined = reduce(
        lambda left, right: left.join(right, on=right.columns[0], how="left", validate="m:1", maintain_order="left"),
        parts,
    )
    age = (pl.col("date") - pl.col("upload_dt")).dt.total_days().cast(pl.Int32)
    joined = joined.with_columns(age.alias("video_age_days")).drop("upload_dt")
    joined = joined.select(pl.exclude(TARGETS), pl.col(TARGETS)).sort(
        "time_ms", "user_id", "video_id", maintain_order=True
    )
    day = pl.col("date")
    return {
        "train": joined.filter(day < _VALID),
        "valid": joined.filter(day == _VALID),
        "test": joined.filter(day > _VALID),
    }


def _table(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    # Whole columns decide the types: some numbers are written as 3.0, and first among many empty fields.
    return pl.read_csv(path, infer_schema_length=None, schema_overrides={"tag": pl.String})


def _check(log: pl.DataFrame, counts: Mapping[str, int], path: Path) -> None:
    problems = Problems()
    for name, expected in counts.items():
        found = log.height if name == "rows" else log[name].sum()
        if found != expected:
            problems.add(
                f"{path.name} is not the published log: between {_FIRST} and {_LAST} expected {expected:,} "
                f"{'rows' if name == 'rows' else f'positives of {name}'}, found {found:,}; get the archive "
                "again and name the folder that holds it with --from FOLDER"
            )
    problems.raise_if_any()


def _log(log: pl.DataFrame) -> pl.DataFrame:
    col = pl.col
    return log.select(
        col("user_id", "video_id").cast(pl.Int64),
        col("day").alias("date"),
        col("time_ms").cast(pl.Int64),
        col("tab").cast(pl.Int16),
        (col("hourmin") // 100).cast(pl.Int16).alias("hour"),
        (pl.when(col("duration_ms") > 0).then(col("duration_ms")) / 1000).alias("duration"),
        col("is_click").cast(pl.Int8).alias("click"),
        col("long_view").cast(pl.Int8),
        col("is_like").cast(pl.Int8).alias("like"),
        col("is_profile_enter").cast(pl.Int8).alias("profile_enter"),
        (col("play_time_ms") / 1000).alias("play_time"),
    )


def _users(users: pl.DataFrame) -> pl.DataFrame:
    ranges = [f"{name}_range" for name in _USER_COUNTS]
    return users.select(
        pl.col("user_id").cast(pl.Int64),
        pl.col("user_active_degree", *ranges).cast(pl.String),
        pl.col(_USER_COUNTS).cast(pl.Int64),
        # -124 in is_live_streamer is undocumented; it stays a value of its own.
        pl.col(_USER_CODES).cast(pl.Int16),
    )


def _videos(videos: pl.DataFrame) -> pl.DataFrame:
    return videos.select(
        pl.col("video_id", "author_id", "music_id").cast(pl.Int64),
        pl.col("video_type", "upload_type", "tag"),
        pl.col("tag").str.split(",").list.first().alias("tag_first"),
        pl.col("upload_dt").str.to_date(),
        pl.col("music_type", "visible_status").cast(pl.Int16),
        pl.col("server_width", "server_height").cast(pl.Int32),
    )
