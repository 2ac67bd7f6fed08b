"""`tune`: what `trunkline tune` searches, and what for."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trunkline.config.section import Positive, Section

Finite = Annotated[float, Field(allow_inf_nan=False)]


class GuardrailConfig(Section):
    """What a score has to keep; the validation rows judge."""

    may_lose: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """How much worse than the config's own it may be."""
    at_least: Finite | None = None
    """The least that the score may be."""
    at_most: Finite | None = None
    """The most that the score may be."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.may_lose is None and self.at_least is None and self.at_most is None:
            raise ValueError("a guardrail needs may_lose, at_least or at_most")
        return self


class TuneConfig(Section):
    """A search for better values; nothing else reads it."""

    space: dict[str, Any] = Field(min_length=1)
    """By dotted path a list of choices, or `{low, high}` with `log: true` or a `step`; a choice may hold ranges."""
    objectives: list[str] | None = Field(default=None, min_length=1)
    """`<task>` (its headline metric) or `<task>.<metric>`; several span a Pareto front. Default: every task."""
    utility: dict[str, Finite] | None = Field(default=None, min_length=1)
    """Instead: one number, the sum of weight times score, in which scores that are better lower count negative."""
    guardrails: dict[str, GuardrailConfig] = Field(default_factory=dict)
    """By score; a trial that breaks one is never chosen."""
    trials: Positive = 50
    """How many points of the space are tried."""
    seeds: Positive = 1
    """Runs of each trial; their mean scores count."""
    sampler: Literal["tpe", "random"] = "tpe"
    """Which point comes next: by a tree-structured Parzen estimator, or drawn."""
    prune: bool = True
    """Whether a trial ends early that is below the median of the others, at the same epoch, in every objective."""

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        if self.objectives is not None and self.utility is not None:
            raise ValueError("give objectives or a utility, not both")
        return self
