"""Products of features, against loops in float64."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.interaction import (
    INTERACTIONS,
    CrossLayers,
    Fields,
    NoInteraction,
    Pairwise,
    Run,
)

FIELDS = {
    "two": Fields(width=4, runs=(Run(0, 2, 2),)),
    "and plain numbers": Fields(width=11, runs=(Run(0, 3, 2), Run(6, 1, 3))),
    "two widths": Fields(width=19, runs=(Run(0, 3, 1), Run(3, 2, 4), Run(11, 1, 5))),
    "side by side and apart": Fields(width=17, runs=(Run(0, 1, 3), Run(3, 2, 2), Run(7, 2, 3), Run(13, 1, 2))),
}
each = pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS.keys())
CROSSES = {"full": {}, "one layer": {"layers": 1}, "low rank": {"layers": 3, "rank": 2}, "rank 1": {"rank": 1}}
each_cross = pytest.mark.parametrize("options", CROSSES.values(), ids=CROSSES.keys())


def batch(fields: Fields, n: int = 5) -> Tensor:
    return torch.randn(n, fields.width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def drawn(interaction: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in interaction.double().parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return interaction


@each
@each_cross
@pytest.mark.parametrize("n", [1, 5])
def test_cross_layers_are_their_formula(fields, options, n):
    crossed = drawn(CrossLayers(fields, **options))
    x = batch(fields, n)
    assert len(crossed.layers) == options.get("layers", 2)
    rows = []
    for x0 in x:
        xl = x0
        for layer in crossed.layers:
            w, b = layer[0].weight, layer[-1].bias
            if "rank" in options:
                assert w.shape == (options["rank"], fields.width)
                w = layer[1].weight @ w
            xl = (
                torch.stack([x0[i] * (sum(w[i, j] * xl[j] for j in range(len(xl))) + b[i]) for i in range(len(x0))])
                + xl
            )
        rows.append(xl)
    assert crossed.out_features == fields.width
    assert torch.allclose(crossed(x), torch.stack(rows), rtol=1e-12, atol=1e-12)


@each
@pytest.mark.parametrize("n", [1, 5])
def test_pairwise_is_the_sum_over_all_pairs(fields, n):
    pairwise, x = Pairwise(fields), batch(fields, n)
    vectors: dict[int, list[Tensor]] = {}
    for run in fields.runs:
        for i in range(run.vectors):
            start = run.start + i * run.width
            vectors.setdefault(run.width, []).append(x[:, start : start + run.width])
    parts = [x]
    for _, members in sorted(vectors.items()):
        if len(members) > 1:
            parts.append(sum(one * other for one, other in itertools.combinations(members, 2)))
    expected = torch.cat(parts, dim=1)
    out = pairwise(x)
    assert out.shape == (n, pairwise.out_features)
    assert torch.allclose(out, expected, rtol=0, atol=1e-12)
    assert torch.equal(out[:, : fields.width], x)


@each
def test_no_interaction_changes_nothing(fields):
    x = batch(fields)
    assert NoInteraction(fields)(x) is x
    assert NoInteraction(fields).out_features == fields.width


@each
@pytest.mark.parametrize("kind", ["dcn_v2", "pairwise"])
def test_gradients_are_those_of_finite_differences(fields, kind):
    interaction = drawn(INTERACTIONS[kind](fields))
    x = batch(fields, 2).requires_grad_()
    names = [name for name, _ in interaction.named_parameters()]

    def call(x, *parameters):
        return torch.func.functional_call(interaction, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *interaction.parameters()))


@each
@pytest.mark.parametrize("kind", INTERACTIONS)
def test_no_rows_give_none(fields, kind):
    interaction = INTERACTIONS[kind](fields)
    assert interaction(torch.empty(0, fields.width)).shape == (0, interaction.out_features)


@each
@each_cross
def test_the_state_makes_a_copy(fields, options):
    one, other = drawn(CrossLayers(fields, **options)), CrossLayers(fields, **options).double()
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(batch(fields)), other(batch(fields)))


def test_cross_layers_keep_the_precision_of_the_features_under_autocast():
    fields = FIELDS["two widths"]
    crossed, x = CrossLayers(fields), batch(fields).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = crossed(x)
    assert out.dtype == torch.float32
    assert torch.allclose(out, crossed(x), rtol=0.1, atol=0.1)


def test_a_low_rank_has_few_parameters():
    fields = Fields(width=50)
    count = [sum(p.numel() for p in CrossLayers(fields, layers=3, rank=rank).parameters()) for rank in (None, 4)]
    assert count == [3 * (50 * 50 + 50), 3 * (2 * 50 * 4 + 50)]


def test_the_table_and_its_options():
    assert {name: INTERACTIONS.options(name) for name in INTERACTIONS} == {
        "none": {},
        "dcn_v2": {"layers": (int, 2), "rank": (int | None, None)},
        "pairwise": {},
    }
    made = INTERACTIONS.make("dcn_v2", {"layers": 3}, fields=FIELDS["two"])
    assert isinstance(made, CrossLayers)
    assert len(made.layers) == 3
    with pytest.raises(UserError, match=r"interaction 'dcn' is unknown(.|\n)*pairwise: Appends"):
        INTERACTIONS.find("dcn")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CrossLayers(FIELDS["two"], layers=0), "layers 0: it must be at least 1"),
        (lambda: CrossLayers(FIELDS["two"], rank=0), "rank 0: it must be at least 1, or None"),
        (lambda: Pairwise(Fields(width=3)), "there are none"),
        (lambda: Pairwise(Fields(width=5, runs=(Run(0, 1, 2), Run(2, 1, 3)))), "1 of width 2, 1 of width 3: give"),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()
