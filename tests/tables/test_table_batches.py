import random
from itertools import chain

import numpy as np
import pytest
import torch

from trunkline.errors import UserError
from trunkline.tables import Batch, Batches


def store(n):
    """Rows that say their own number everywhere."""
    number = torch.arange(n)
    return Batch(number[:, None].int(), number[:, None].float(), {"y": number.double()}, {"y": number.float()})


def rows(batch):
    numbers = batch.ids[:, 0].tolist()
    for other in (batch.numbers[:, 0], batch.labels["y"], batch.weights["y"]):
        assert other.tolist() == numbers
    return numbers


@pytest.mark.parametrize(("n", "size"), [(10, 3), (9, 3), (1, 1), (5, 1), (7, 100), (100, 99)])
def test_every_epoch_is_a_permutation_in_batches_of_the_size(n, size):
    batches = Batches(store=store(n), size=size, seed=1)
    for epoch in range(3):
        found = [rows(batch) for batch in batches.shuffled(epoch)]
        assert sorted(chain(*found)) == list(range(n))
        assert [len(batch) for batch in found] == [size] * (n // size) + ([n % size] if n % size else [])
        assert len(found) == len(batches)


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        return [rows(batch) for batch in Batches(store=store(50), size=8, seed=seed).shuffled(epoch)]

    assert order(0, 0) == order(0, 0)
    different = [order(0, 0), order(0, 1), order(1, 0), order(1, 1)]
    assert all(a != b for i, a in enumerate(different) for b in different[:i])


@pytest.mark.parametrize("start", [0, 1, 3, 6, 7])
def test_an_epoch_can_be_taken_up_at_any_batch(start):
    batches = Batches(store=store(50), size=8, seed=5)
    whole = [rows(batch) for batch in batches.shuffled(2)]
    assert [rows(batch) for batch in batches.shuffled(2, start=start)] == whole[start:]


@pytest.mark.parametrize(("n", "size"), [(10, 3), (3, 10), (4, 2)])
def test_ordered_gives_all_rows_in_order(n, size):
    found = [rows(batch) for batch in Batches(store=store(n), size=size).ordered()]
    assert list(chain(*found)) == list(range(n))
    assert max(map(len, found)) <= size


def test_global_generators_are_neither_read_nor_set():
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    def order():
        return [rows(batch) for batch in Batches(store=store(20), size=4, seed=0).shuffled(0)]

    before = states()
    first = order()
    assert states() == before
    torch.manual_seed(123)
    assert order() == first


@pytest.mark.parametrize("size", [0, -5])
def test_a_batch_has_at_least_one_row(size):
    with pytest.raises(UserError, match="batch size"):
        Batches(store=store(3), size=size)


def test_the_cpu_is_where_a_batch_is_already():
    batch = store(3)
    assert batch.to(torch.device("cpu")) is batch
