"""Random tensors and masks that the tests of attention share."""

from __future__ import annotations

import os

import pytest
import torch

# Read when the kernels are first imported, which is later than this.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from humanmotion.attention.blocks import BlockMask, Blocks


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def normal(generator):
    """Tensors of standard normal numbers."""

    def make(*shape, dtype=torch.float32):
        return torch.randn(*shape, generator=generator).to(dtype)

    return make


@pytest.fixture
def random_mask(generator):
    """A mask that keeps every pair of blocks with a given chance."""

    def make(runs, key_runs, *, sizes=(64, 32), batch=1, heads=1, chance=0.4):
        rows, columns = Blocks.cut(runs, sizes[0]), Blocks.cut(key_runs, sizes[1])
        shape = (batch, heads, rows.count, columns.count)
        return BlockMask(torch.rand(shape, generator=generator) < chance, rows, columns)

    return make
