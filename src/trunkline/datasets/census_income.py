"""Census-Income (KDD): 299,285 persons of the US Current Population Survey of 1994 and 1995, three targets.

The targets are those of the multi-task literature (Ma et al., "Modeling Task Relationships in Multi-task
Learning with Multi-gate Mixture-of-Experts", KDD 2018, section 5): `income` (over 50,000 dollars),
`never_married`, and `college` (a bachelor's degree or more). The columns that say them in plain are left
out, and so is `instance_weight`, which weighs a person in the survey and does not describe him or her.
`?` is the missing mark; `NA` in `hisp_origin` and `Not in universe` are answers.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from trunkline.datasets.base import Dataset
from trunkline.datasets.originals import Digest, Original

COLUMNS = (
    *("age", "class_worker", "det_ind_code", "det_occ_code", "education", "wage_per_hour", "hs_college"),
    *("marital_stat", "major_ind_code", "major_occ_code", "race", "hisp_origin", "sex", "union_member"),
    *("unemp_reason", "full_or_part_emp", "capital_gains", "capital_losses", "stock_dividends"),
    *("tax_filer_stat", "region_prev_res", "state_prev_res", "det_hh_fam_stat", "det_hh_summ"),
    *("instance_weight", "mig_chg_msa", "mig_chg_reg", "mig_move_reg", "mig_same", "mig_prev_sunbelt"),
    *("num_emp", "fam_under_18", "country_father", "country_mother", "country_self", "citizenship"),
    *("own_or_self", "vet_question", "vet_benefits", "weeks_worked", "year", "income_50k"),
)
"""The columns of the original files, which have no header; the names follow the published description."""

NUMBERS = (
    *("age", "wage_per_hour", "capital_gains", "capital_losses", "stock_dividends", "num_emp"),
    *("weeks_worked", "year"),
)
"""Counts and amounts; every other column is a category, also those that are written as a code."""

TARGETS = ("income", "never_married", "college")
"""The three 0/1 targets."""

_DEGREES = (
    "Bachelors degree(BA AB BS)",
    "Masters degree(MA MS MEng MEd MSW MBA)",
    "Prof school degree (MD DDS DVM LLB JD)",
    "Doctorate degree(PhD EdD)",
)
_PLAIN_TARGETS = ("income_50k", "marital_stat", "education")


def read(path: Path) -> pl.DataFrame:
    """One original file: features first, then the three targets.

    Args:
        path: `census-income.data` or `census-income.test`, uncompressed.
    """
    text = pl.read_csv(
        path,
        has_header=False,
        new_columns=list(COLUMNS),
        quote_char=None,
        schema_overrides=[pl.String] * len(COLUMNS),
    ).select(pl.all().str.strip_chars())
    features = [name for name in COLUMNS if name not in (*_PLAIN_TARGETS, "instance_weight")]
    return text.select(
        pl.col(name).cast(pl.Int64) if name in NUMBERS else pl.col(name).replace("?", None) for name in features
    ).with_columns(
        (text["income_50k"] == "50000+.").cast(pl.Int8).alias("income"),
        (text["marital_stat"] == "Never married").cast(pl.Int8).alias("never_married"),
        text["education"].is_in(_DEGREES).cast(pl.Int8).alias("college"),
    )


def prepare(originals: Mapping[str, Path]) -> dict[str, pl.DataFrame]:
    """The official training file, and the official test file halved: even rows `valid`, odd rows `test`."""
    train = read(originals["census-income.data"])
    held_out = read(originals["census-income.test"])
    return {"train": train, "valid": held_out.gather_every(2), "test": held_out.gather_every(2, offset=1)}


CENSUS_INCOME = Dataset(
    name="census-income",
    about="299,285 persons, 38 features; targets income, never_married and college",
    licence="CC BY 4.0, UCI Machine Learning Repository, data set 117; survey by the US Census Bureau",
    url="https://archive.ics.uci.edu/static/public/117/census+income+kdd.zip",
    # UCI publishes no hash of the archive; the two files in it are checked instead.
    archive=Original("census+income+kdd.zip"),
    editions=(
        (
            Original("census-income.data", 103_874_469, Digest("md5", "887f4dc410a99bc332bddbb0a4195b88")),
            Original("census-income.test", 51_918_813, Digest("md5", "b82952d217858365c8e597827e3e5468")),
        ),
    ),
    prepare=prepare,
)
"""Census-Income (KDD), https://archive.ics.uci.edu/dataset/117/census+income+kdd."""
