"""Public data sets, fetched and checked, and a simulated feed whose truth is known."""

from trunkline.datasets.base import Dataset
from trunkline.datasets.census_income import CENSUS_INCOME
from trunkline.datasets.kuairand import KUAIRAND_PURE
from trunkline.errors import UserError, did_you_mean

__all__ = ["DATASETS", "Dataset", "dataset"]

DATASETS: dict[str, Dataset] = {known.name: known for known in (CENSUS_INCOME, KUAIRAND_PURE)}


def dataset(name: str) -> Dataset:
    """The public data set of this name.

    Raises:
        UserError: with the table of names, if there is none.
    """
    if name in DATASETS:
        return DATASETS[name]
    width = max(map(len, DATASETS))
    table = "\n".join(f"  {known:<{width}}  {DATASETS[known].about}" for known in DATASETS)
    raise UserError(f"there is no data set '{name}'{did_you_mean(name, DATASETS)}\n{table}")
