"""Block masks: compressed rows and back, algebra, density by counting pairs of tokens."""

from __future__ import annotations

import pytest
import torch

from humanmotion.attention.blocks import BlockMask, Blocks
from humanmotion.errors import UsageError


@pytest.fixture
def mask(random_mask):
    return random_mask((130, 7), (64, 50), batch=3, heads=2)


def test_compressed_rows_and_back(mask):
    starts, numbers = mask.csr()
    assert starts.dtype == numbers.dtype == torch.int32
    for item, head, row in torch.cartesian_prod(*map(torch.arange, mask.kept.shape[:3])).tolist():
        begin, end = starts[item, head, row : row + 2].tolist()
        assert numbers[begin:end].tolist() == mask.kept[item, head, row].nonzero()[:, 0].tolist()
    again = BlockMask.from_csr(starts, numbers, rows=mask.rows, columns=mask.columns)
    assert torch.equal(again.kept, mask.kept)


def test_an_empty_mask_has_empty_rows():
    blocks = Blocks.cut((10,), 4)
    empty = BlockMask(torch.zeros(1, 2, 3, 3, dtype=torch.bool), blocks, blocks)
    starts, numbers = empty.csr()
    assert not starts.any() and not len(numbers)
    assert not BlockMask.from_csr(starts, numbers, rows=blocks, columns=blocks).kept.any()


def test_density_counts_pairs_of_tokens(mask):
    torch.testing.assert_close(mask.density(), mask.token_mask().double().mean((-1, -2)))
    full = BlockMask.full(mask.rows, mask.columns)
    assert full.density().tolist() == [[1.0]]


def test_and_or_and_transposition(mask):
    full = BlockMask.full(mask.rows, mask.columns)
    assert torch.equal((mask & full).kept, mask.kept)
    assert bool((mask | full).kept.all())
    assert torch.equal(mask.transposed().token_mask(), mask.token_mask().transpose(-1, -2))


@pytest.mark.parametrize("shape", [(3, 2), (1, 1, 4, 5), (1, 1, 5, 5, 1)])
def test_a_mask_that_does_not_fit_names_its_shape(shape):
    blocks = Blocks.cut((10,), 2)
    with pytest.raises(UsageError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
        BlockMask(torch.ones(shape, dtype=torch.bool), blocks, blocks)


def test_a_mask_of_numbers_is_refused():
    blocks = Blocks.cut((10,), 2)
    with pytest.raises(UsageError, match="bool"):
        BlockMask(torch.ones(1, 1, 5, 5), blocks, blocks)


@pytest.mark.parametrize(("runs", "size"), [((), 4), ((3, 0), 4), ((3,), 0)])
def test_blocks_of_nothing_are_refused(runs, size):
    with pytest.raises(UsageError, match="1 or more"):
        Blocks.cut(runs, size)
