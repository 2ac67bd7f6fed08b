import random
import threading
import time
from dataclasses import replace
from itertools import chain, islice, pairwise

import numpy as np
import pytest
import torch

from trunkline.errors import UserError
from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch, Batches, Store, batches
from trunkline.tables.prefetch import ahead


def ragged(lists):
    """The lists, as the network takes them."""
    return Ragged(
        torch.tensor(list(chain(*lists)), dtype=torch.int32),
        torch.tensor([0, *np.cumsum([len(one) for one in lists])], dtype=torch.int64),
    )


def lists(found):
    """What `ragged` was made of."""
    ends = found.offsets.tolist()
    return [found.values[a:b].tolist() for a, b in pairwise(ends)]


def batch(n):
    """Rows that say their own number everywhere; row i's list holds it i % 4 times."""
    number = torch.arange(n)
    of_each = ragged([[i] * (i % 4) for i in range(n)])
    ids, numbers = number[:, None].int().repeat(1, 2), number[:, None].float()
    return Batch(ids, numbers, {"y": number.double()}, {"y": number.float()}, (of_each,))


def store(n):
    return Store.of(batch(n))


def rows(found):
    numbers = found.ids[:, 0].tolist()
    for other in (found.ids[:, 1], found.numbers[:, 0], found.labels["y"], found.weights["y"]):
        assert other.tolist() == numbers
    assert lists(found.lists[0]) == [[i] * (i % 4) for i in numbers]
    return numbers


@pytest.fixture
def small_windows(monkeypatch):
    """Blocks of 8 rows, windows of 40, pieces of 10: all borders are crossed with few rows."""
    monkeypatch.setattr(batches, "BLOCK", 8)
    monkeypatch.setattr(batches, "WINDOW", 40)
    monkeypatch.setattr(batches, "PIECES", 4)


@pytest.mark.parametrize(
    ("n", "size"), [(10, 3), (9, 3), (1, 1), (5, 1), (7, 100), (100, 99), (8, 8), (3000, 7), (3000, 1024), (5000, 2500)]
)
def test_every_epoch_is_a_permutation_in_batches_of_the_size(n, size):
    through = Batches(store=store(n), size=size, seed=1)
    for epoch in range(3):
        found = [rows(one) for one in through.shuffled(epoch)]
        assert sorted(chain(*found)) == list(range(n))
        assert [len(one) for one in found] == [size] * (n // size) + ([n % size] if n % size else [])
        assert len(found) == len(through)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("seed", range(40))
def test_windows_neither_lose_nor_repeat_rows_and_can_be_entered_anywhere(seed):
    draw = np.random.default_rng(seed)
    n, size = int(draw.integers(1, 400)), int(draw.choice([1, 2, 3, 7, 8, 10, 16, 39, 41, 100, 500]))
    through = Batches(store=store(n), size=size, seed=seed)
    epoch = int(draw.integers(0, 5))
    whole = list(through.shuffled(epoch))
    assert sorted(chain(*map(rows, whole))) == list(range(n))
    assert [len(one) for one in whole] == [min(size, n - i) for i in range(0, n, size)]
    for start in {0, 1, len(whole) // 2, len(whole) - 1, len(whole), int(draw.integers(0, len(whole) + 1))}:
        rest = list(through.shuffled(epoch, start=start))
        assert len(rest) == len(whole[start:])
        for one, other in zip(rest, whole[start:], strict=True):
            assert rows(one) == rows(other)
            assert one.ids.equal(other.ids)
            assert one.lists[0].offsets.equal(other.lists[0].offsets)


@pytest.mark.usefixtures("small_windows")
def test_rows_of_a_block_come_in_one_window_and_blocks_and_rows_in_random_order():
    through = Batches(store=store(400), size=5)
    order = list(chain(*map(rows, through.shuffled(0))))
    windows = [order[i : i + 40] for i in range(0, 400, 40)]
    blocks = [{number // 8 for number in window} for window in windows]
    assert all(len(of_window) == 5 for of_window in blocks)
    assert sorted(chain(*blocks)) == list(range(50))
    assert any(max(of_window) - min(of_window) > 4 for of_window in blocks)
    assert all(window != sorted(window) for window in windows)
    other = list(chain(*map(rows, through.shuffled(1))))
    assert [{number // 8 for number in other[i : i + 40]} for i in range(0, 400, 40)] != blocks


def test_a_table_of_up_to_a_window_is_shuffled_as_a_whole():
    """Every row can come at every place: the mean place of 3000 rows over 400 epochs is about the middle."""
    n = 3000
    through = Batches(store=Store.of(batch(n)), size=n)
    places = np.zeros((400, n))
    for epoch in range(400):
        places[epoch, next(through.shuffled(epoch)).ids[:, 0].numpy()] = np.arange(n)
    standard = n / np.sqrt(12 * 400)
    assert np.abs(places.mean(0) - (n - 1) / 2).max() < 5 * standard
    neighbours = np.corrcoef(places[:, 0], places[:, 1])[0, 1]  # of one block
    assert abs(neighbours) < 5 / np.sqrt(400)


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch, n=50):
        return [rows(one) for one in Batches(store=store(n), size=8, seed=seed).shuffled(epoch)]

    assert order(0, 0) == order(0, 0)
    different = [order(0, 0), order(0, 1), order(1, 0), order(1, 1)]
    assert all(a != b for i, a in enumerate(different) for b in different[:i])


def test_wide_rows_make_a_smaller_window_of_whole_blocks():
    wide = Batch(torch.zeros(5000, 0, dtype=torch.int32), torch.zeros(5000, 40_000).expand(5000, 40_000), {}, {})
    assert Batches(store=Store.of(wide), size=100)._window == 2 * batches.BLOCK
    assert Batches(store=Store.of(wide), size=4000)._window == 4 * batches.BLOCK


@pytest.mark.parametrize(("n", "size"), [(10, 3), (3, 10), (4, 2), (5000, 7)])
def test_ordered_gives_all_rows_in_order(n, size):
    found = [rows(one) for one in Batches(store=store(n), size=size).ordered()]
    assert list(chain(*found)) == list(range(n))
    assert {len(one) for one in found[:-1]} <= {size}
    assert max(map(len, found)) <= size


@pytest.mark.usefixtures("small_windows")
def test_ordered_crosses_windows():
    through = Batches(store=store(123), size=9)
    found = [rows(one) for one in through.ordered()]
    assert list(chain(*found)) == list(range(123))
    assert len(found) == len(through)


def test_global_generators_are_neither_read_nor_set():
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    def order():
        return [rows(one) for one in Batches(store=store(20), size=4, seed=0).shuffled(0)]

    before = states()
    first = order()
    assert states() == before
    torch.manual_seed(123)
    assert order() == first


@pytest.mark.parametrize("size", [0, -5])
def test_a_batch_has_at_least_one_row(size):
    with pytest.raises(UserError, match="batch size"):
        Batches(store=store(3), size=size)


def test_what_else_is_done_to_a_batch_is_done_ahead_in_a_thread():
    threads = []

    def then(one):
        threads.append(threading.current_thread())
        return replace(one, found=one.ids.sum())

    for one in Batches(store=store(40), size=4).shuffled(0, then=then):
        assert one.found == one.ids.sum()
    assert len(threads) == 10
    assert threading.main_thread() not in threads


def ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("trunkline")]


@pytest.mark.parametrize("taken", [0, 1, 3, 50])
def test_no_thread_is_left_when_the_consumer_stops_early(taken):
    through = Batches(store=store(500), size=5).shuffled(0)
    assert len(list(islice(through, taken))) == taken
    assert len(ours()) == (taken > 0)
    through.close()
    assert ours() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_no_thread_is_left_after_an_error_of_the_consumer(error):
    def train():
        for i, _ in enumerate(Batches(store=store(500), size=5).shuffled(0)):
            if i == 3:
                raise error

    with pytest.raises(error):
        train()
    assert ours() == []


def test_an_error_of_the_thread_reaches_the_consumer_in_its_place():
    def fail(one):
        made.append(one)
        if len(made) == 4:
            raise RuntimeError("no more")
        return one

    made, seen = [], []
    with pytest.raises(RuntimeError, match="no more"):
        seen.extend(Batches(store=store(100), size=5).shuffled(0, then=fail))
    assert made
    assert ours() == []


def test_the_thread_is_only_a_few_items_ahead():
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i

    found = ahead(items(), depth=2)
    assert next(found) == 0
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(made) == 4  # one used, two waiting, one that has no room
    assert list(found) == list(range(1, 100))
    assert ours() == []


@pytest.mark.parametrize("seed", range(20))
def test_taking_rows_of_lists_is_what_a_loop_does(seed):
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 30))
    given = [draw.integers(0, 99, draw.integers(0, 5)).tolist() for _ in range(n)]
    whole = Batch(
        torch.zeros(n, 0).int(), torch.arange(n)[:, None].float(), {}, {}, (ragged(given), ragged(given[::-1]))
    )
    chosen = draw.integers(-n, n, draw.integers(0, 50)).tolist()
    found = whole.take(torch.tensor(chosen, dtype=torch.int64))
    assert lists(found.lists[0]) == [given[i] for i in chosen]
    assert lists(found.lists[1]) == [given[::-1][i] for i in chosen]
    assert found.numbers[:, 0].tolist() == [i % n for i in chosen]
    ends = [int(end) for end in draw.integers(-n - 2, n + 2, 2)]
    for rows_ in (slice(*ends), slice(None), slice(None, 0), slice(ends[0], None), slice(None, None, 2)):
        found = whole.take(rows_)
        assert lists(found.lists[0]) == given[rows_]
        assert found.numbers[:, 0].tolist() == list(range(n))[rows_]
        assert len(found) == len(given[rows_])
    size = int(draw.integers(1, n + 3))
    pieces = whole.split(size)
    assert [len(piece) for piece in pieces] == [min(size, n - i) for i in range(0, n, size)]
    assert list(chain(*(lists(piece.lists[0]) for piece in pieces))) == given
    assert all(piece.lists[0].offsets[0] == 0 for piece in pieces)


def test_slices_and_pieces_are_views():
    whole = batch(20)
    for part in (whole.take(slice(4, 9)), whole.split(4)[1]):
        assert part.ids.data_ptr() == whole.ids[4:].data_ptr()
        assert part.labels["y"].data_ptr() == whole.labels["y"][4:].data_ptr()


def test_what_was_found_is_of_its_own_rows():
    whole = replace(batch(6), found=(torch.arange(3), None))
    assert whole.take(slice(0, 2)).found is None
    assert whole.take(torch.tensor([1])).found is None


def test_the_cpu_is_where_a_batch_is_already():
    whole = batch(3)
    assert whole.to(torch.device("cpu")) is whole
    assert torch.cuda.is_available() or whole.pin() is whole


def test_everything_moves():
    whole = replace(batch(5), found=[(torch.arange(2), None), {"a": torch.ones(1)}, 3])
    moved = whole.to(torch.device("meta"))
    tensors = [moved.ids, moved.numbers, moved.labels["y"], moved.weights["y"], *moved.lists[0]]
    tensors += [moved.found[0][0], moved.found[1]["a"]]
    assert all(tensor.is_meta for tensor in tensors)
    assert (moved.found[0][1], moved.found[2]) == (None, 3)
    assert len(moved) == 5
