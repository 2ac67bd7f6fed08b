"""ConFIG beside its authors' own package, on nine kinds of input."""

import pytest
import torch

from trunkline.balance import ConFIG

operator = pytest.importorskip("conflictfree.grad_operator", reason="pip install conflictfree")


def rows(tasks, rank, width, seed, decades=0.0):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(tasks, rank, generator=generator) @ torch.randn(rank, width, generator=generator)
    return made * 10 ** (decades * torch.randn(tasks, 1, generator=generator))


KINDS = {
    "two": (2, 2, 9, 0.0),
    "three": (3, 3, 9, 0.0),
    "sixteen": (16, 16, 60, 0.0),
    "norms apart": (4, 4, 12, 1.0),
    "norms far apart": (4, 4, 12, 2.0),
    "five of rank two": (5, 2, 9, 0.0),
    "five of rank two, norms apart": (5, 2, 9, 1.0),
    "seven of rank three": (7, 3, 30, 0.0),
    "rank one": (3, 1, 8, 0.0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_the_update_is_the_authors(kind, seed):
    tasks, rank, width, decades = KINDS[kind]
    jacobian = rows(tasks, rank, width, seed, decades)
    if kind == "rank one":
        jacobian = jacobian * jacobian[:, :1].sign()  # opposed ones have no common direction: theirs is then noise
    expected = operator.ConFIG_update(jacobian, use_least_square=False).double()
    # Their package works in float32: the pseudo-inverse of the unit gradients is known to ε·κ.
    values = torch.linalg.svdvals(jacobian / jacobian.norm(dim=1, keepdim=True))[: min(tasks, rank)]
    allowed = 32 * tasks * torch.finfo(torch.float32).eps * float(values[0] / values[-1])
    jacobian = jacobian.double()
    update = ConFIG(rescale=False)(_of_rank(jacobian, rank)) @ jacobian
    torch.testing.assert_close(update / update.norm(), expected / expected.norm(), rtol=0, atol=allowed)


def _of_rank(jacobian, rank):
    """The Gramian without the directions that float32's rounding of the rows has added."""
    left, values, right = torch.linalg.svd(jacobian, full_matrices=False)
    values[rank:] = 0
    exact = left * values @ right
    return exact @ exact.T
