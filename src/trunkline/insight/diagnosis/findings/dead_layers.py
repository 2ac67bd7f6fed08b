"""Dead ReLU layers: most of their units are 0 in every row, as a learning rate too high leaves them."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations
from trunkline.insight.diagnosis.rates import rate_line

KIND = "dead_units"
SEVERITY = 0.8
"""A dead layer passes nothing on, and no gradient back: its task has stopped learning for good."""
SHARE = 0.75
"""Of a layer's units. In sound trainings a quarter to two thirds of a narrow tower's units never wake; a rate a hundred
times too high kills four fifths and more."""
FEWEST = 4
"""Units of a layer below which three quarters say nothing."""
LOWER = 30.0
"""By how much to lower the rate: between the ten and the hundred that is usually too much."""


def dead_layers(observations: Observations) -> list[Finding]:
    """ReLU layers of which `SHARE` of the units were 0 in all rows that were looked at."""
    found = []
    for layer in observations.layers or ():
        share = layer.dead / layer.units
        if layer.units >= FEWEST and share >= SHARE:
            rate = observations.rate(layer.subnet)
            found.append(
                Finding(
                    kind=KIND,
                    weight=SEVERITY * share,
                    subject=f"{layer.subnet}[{layer.index}]",
                    sentence=f"{layer.dead} of the {layer.units} units of layer {layer.index} of {layer.subnet} are 0 "
                    f"in all of {layer.rows:,} rows; its learning rate is {rate:g}",
                    evidence={"dead": layer.dead, "units": layer.units, "rows": layer.rows, "lr": rate},
                    remedy=rate_line(layer.subnet, rate / LOWER),
                )
            )
    return found
