"""Slice of a categorical feature within the embedding, by its name."""

from collections.abc import Mapping

from trunkline.errors import UserError, did_you_mean
from trunkline.nn.inputs import FeatureSlice


def feature_slice(features: Mapping[str, FeatureSlice], name: str, option: str) -> FeatureSlice:
    """Where a feature lies.

    Args:
        features: the categorical features.
        name: of the one wanted.
        option: what asks for it.

    Raises:
        UserError: there is none of that name.
    """
    if name not in features:
        known = ", ".join(features) or "none"
        raise UserError(f"{option} {name!r}: no categorical feature{did_you_mean(name, features)} (known: {known})")
    return features[name]
