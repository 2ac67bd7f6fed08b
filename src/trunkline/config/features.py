"""`features`: the feature columns."""

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializerFunctionWrapHandler, model_serializer

from trunkline.config.section import Chosen, chosen
from trunkline.tables.columns import FEATURE_KINDS


class FeatureConfig(Chosen):
    """A feature column; see the kind's class in `tables.columns` for its options."""

    @model_serializer(mode="wrap")
    def _readable(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Kind first; no option that is left open."""
        values = {name: value for name, value in handler(self).items() if value is not None}
        return {"kind": values["kind"]} | values


AnyFeature = Annotated[FeatureConfig, BeforeValidator(chosen(FEATURE_KINDS.options, common=FeatureConfig))]
