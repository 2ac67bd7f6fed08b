"""Row-wise optimisers against torch's own and against the recursion written out."""

import copy

import pytest
import torch

from trunkline.errors import UserError
from trunkline.nn.embedding import Embedding
from trunkline.nn.embedding_ops import rows_of
from trunkline.optim.rowwise import RowAdagrad, RowAdam

ROWS, WIDTH = 12, 3


def table(seed: int = 0, *, width: int = WIDTH, dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(ROWS, width, generator=torch.Generator().manual_seed(seed), dtype=dtype))


def steps(parameter, optimizer, batches, *, seed=1):
    """Random gradients on the rows of each batch, as a lookup would leave them."""
    generator = torch.Generator().manual_seed(seed)
    for rows in batches:
        weights = torch.randn(len(rows), parameter.shape[1], generator=generator, dtype=parameter.dtype)
        optimizer.zero_grad()
        (rows_of(parameter, torch.tensor(rows)) * weights).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_with_width_one_and_every_row_in_every_batch_row_adam_is_adamw(beta):
    ours, theirs = table(width=1), table(width=1)
    batches = [list(range(ROWS))] * 20
    steps(ours, RowAdam([ours], lr=0.1, betas=(beta, 0.99), weight_decay=0.3), batches)
    adamw = torch.optim.AdamW([theirs], lr=0.1, betas=(beta, 0.99), weight_decay=0.3)
    generator = torch.Generator().manual_seed(1)
    for _ in batches:
        theirs.grad = torch.randn(ROWS, 1, generator=generator, dtype=torch.float64)
        adamw.step()
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_with_width_one_row_adam_is_sparse_adam(beta):
    ours, theirs = table(width=1), table(width=1)
    batches = [[0, 3], [3], [1, 2, 3, 11], [0], [3, 4]]
    steps(ours, RowAdam([ours], lr=0.1, betas=(beta, 0.99), eps=1e-14), batches)
    steps(theirs, torch.optim.SparseAdam([theirs], lr=0.1, betas=(beta, 0.99), eps=1e-14), batches)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-9)


def test_the_second_moment_is_the_mean_of_a_rows_squares():
    parameter = table()
    optimizer = RowAdam([parameter], lr=0.1, betas=(0.0, 0.9))
    before = parameter.detach().clone()
    gradient = torch.tensor([[3.0, 0.0, 4.0]], dtype=torch.float64)
    (rows_of(parameter, torch.tensor([5])) * gradient).sum().backward()
    optimizer.step()
    expected = before[5] - 0.1 * gradient[0] / (25 / 3) ** 0.5
    assert torch.allclose(parameter[5], expected, rtol=0, atol=1e-8)


def test_a_rare_row_moves_as_far_as_dense_adam_would_move_it():
    """One gradient among many steps without: dense Adam's momentum carries it on, `RowAdam` takes it at once."""
    ours, theirs = table(width=1), table(width=1)
    start = ours.detach().clone()
    optimizer, dense = RowAdam([ours], lr=0.01), torch.optim.Adam([theirs], lr=0.01)
    for step in range(500):
        rows = [3, 7] if step == 400 else [3]
        gradient = torch.zeros_like(theirs)
        gradient[rows] = 1.0
        theirs.grad = gradient
        dense.step()
        optimizer.zero_grad()
        rows_of(ours, torch.tensor(rows)).sum().backward()
        optimizer.step()
    moved, should = (ours - start)[7].item(), (theirs - start)[7].item()
    assert moved == pytest.approx(should, rel=0.1)


def test_with_width_one_row_adagrad_is_adagrad_on_the_rows_of_the_batch():
    ours, theirs = table(width=1), table(width=1)
    batches = [[0, 3], [3], [1, 2, 3, 11]]
    steps(ours, RowAdagrad([ours], lr=0.1, eps=1e-10), batches)
    adagrad = torch.optim.Adagrad([theirs], lr=0.1, eps=1e-10)
    generator = torch.Generator().manual_seed(1)
    for rows in batches:
        gradient = torch.zeros(ROWS, 1, dtype=torch.float64)
        gradient[rows] = torch.randn(len(rows), 1, generator=generator, dtype=torch.float64)
        theirs.grad = gradient
        adagrad.step()
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [RowAdam, RowAdagrad])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_rows_outside_the_batch_stay_bit_for_bit_and_those_inside_move(kind, decay):
    parameter = table()
    before = parameter.detach().clone()
    steps(parameter, kind([parameter], lr=0.1, weight_decay=decay), [[2, 7], [7]])
    moved = (parameter != before).any(1)
    assert moved.nonzero().flatten().tolist() == [2, 7]


def test_decay_is_decoupled():
    parameter = table()
    before = parameter.detach().clone()
    optimizer = RowAdam([parameter], lr=0.1, weight_decay=0.2)
    (rows_of(parameter, torch.tensor([3])) * 0.0).sum().backward()
    optimizer.step()
    assert torch.allclose(parameter[3], before[3] * (1 - 0.1 * 0.2), rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", [RowAdam, RowAdagrad])
def test_state_makes_a_copy_that_goes_on_alike(kind):
    one, other = table(), table()
    first, second = kind([one], lr=0.1), kind([other], lr=0.1)
    steps(one, first, [[1, 2], [2]])
    with torch.no_grad():
        other.copy_(one)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(one, first, [[2, 5]], seed=2)
    steps(other, second, [[2, 5]], seed=2)
    assert torch.equal(one, other)
    assert first.state[one]["rows"].shape == (ROWS, 1)


def test_gradients_of_several_backwards_add_up():
    once, twice = table(), table()
    for parameter, parts in ((once, [[1, 2, 4]]), (twice, [[1, 2], [4]])):
        optimizer = RowAdam([parameter], lr=0.1)
        for rows in parts:
            rows_of(parameter, torch.tensor(rows)).square().sum().backward()
        optimizer.step()
    assert torch.allclose(once, twice, rtol=0, atol=1e-15)


def test_a_closure_is_called_and_its_loss_returned():
    parameter = table()

    def closure():
        loss = rows_of(parameter, torch.tensor([1])).square().sum()
        loss.backward()
        return loss

    assert RowAdam([parameter]).step(closure) > 0


def test_dense_gradients_are_refused():
    parameter = table()
    parameter.square().sum().backward()
    with pytest.raises(UserError, match="row-sparse gradients, and got a dense gradient of shape"):
        RowAdam([parameter]).step()


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (RowAdam, {"lr": -1.0}, "lr -1.0"),
        (RowAdam, {"betas": (0.9, 1.0)}, "betas below 1"),
        (RowAdam, {"weight_decay": float("nan")}, "weight_decay nan"),
        (RowAdagrad, {"eps": -1.0}, "eps -1.0"),
    ],
)
def test_values_out_of_range_are_refused(kind, changes, message):
    with pytest.raises(UserError, match=message):
        kind([table()], **changes)


def test_an_empty_batch_changes_nothing():
    embedding = Embedding([5], [2], 1, sparse_above=0)
    (parameter,) = embedding.row_sparse()
    before = parameter.detach().clone()
    embedding(torch.empty(0, 1, dtype=torch.int64), torch.empty(0, 1)).sum().backward()
    RowAdam([parameter]).step()
    assert torch.equal(parameter, before)
