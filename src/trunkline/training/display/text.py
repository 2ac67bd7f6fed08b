"""What displays say of a training, in words."""

from collections.abc import Mapping
from typing import Any

from trunkline.training.loop import Loop


def sizes_text(loop: Loop) -> str:
    """`1,200 training rows, 300 validation rows; 4,061 parameters on cpu`."""
    parameters = sum(p.numel() for p in loop.network.parameters())
    rows = {"training": loop.train, "validation": loop.valid}
    counted = ", ".join(f"{len(b.store):,} {name} rows" for name, b in rows.items() if b is not None)
    return f"{counted}; {parameters:,} parameters on {loop.device}"


def losses_text(line: Mapping[str, Any]) -> str:
    """`click 0.5121×1  dwell 1.02×0.8`: mean losses since the last line, and what each counts."""
    losses, weights = line["losses"], line["weights"]
    return "  ".join(f"{name} {loss:.4f}×{weights[name]:.3g}" for name, loss in losses.items() if loss is not None)


def epoch_text(line: Mapping[str, Any]) -> str:
    """`epoch 3: click auc 0.7512 …  score 0.7011 *`, the star for the best so far; and which experts no gate uses."""
    text = f"epoch {line['epoch'] + 1}:"
    if line["valid"] is not None:
        for name, scores in line["valid"].items():
            metric = next(iter(scores))
            text += f"  {name} {metric} {number(scores[metric])}"
        text += f"  score {number(line['score'])}"
    text += " *" if line["best"] else ""
    unused = line.get("unused_experts")
    return f"{text}\n  used by no gate: {', '.join(unused)}" if unused else text


def number(value: float | int | None) -> str:
    """Four digits that matter; a dash where there is no value."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
