"""The exact test of two triangles against whole numbers, and the tree against all pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from humanmotion.metrics.triangle_tree import TriangleTree, triangles_meet
from tests.metrics.whole_numbers import meet_in_whole_numbers


def _random_triangles(count: int, *, size: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).integers(0, size, (8 * count, 3, 3))
    area = np.cross(found[:, 1] - found[:, 0], found[:, 2] - found[:, 0])
    return found[(area != 0).any(1)][:count]


# On a small lattice nearly half of all meetings are touches and many are in one plane.
@pytest.mark.parametrize("size", [2, 3, 4, 1000])
def test_the_exact_test_is_that_of_whole_numbers(size):
    one, two = (_random_triangles(1500, size=size, seed=s) for s in (1, 2))
    found = triangles_meet(*(torch.from_numpy(x).float() for x in (one, two)))
    slow = [meet_in_whole_numbers(a, b) for a, b in zip(one.tolist(), two.tolist(), strict=True)]
    assert found.tolist() == slow
    assert 0.02 < found.float().mean() < 0.98


def test_it_does_not_matter_which_comes_first_nor_how_the_corners_are_numbered():
    one, two = (torch.from_numpy(_random_triangles(400, size=40, seed=s)) for s in (3, 4))
    found = triangles_meet(one, two)
    for order in itertools.permutations(range(3)):
        assert (triangles_meet(two, one[:, list(order)]) == found).all()


@pytest.mark.parametrize("count", [1, 2, 3, 64, 97])
def test_the_tree_finds_every_pair_of_boxes_once(count):
    corners = torch.from_numpy(_random_triangles(count, size=30, seed=count)).float()
    vertices, faces = corners.flatten(0, 1), torch.arange(3 * count).view(-1, 3)
    # Built on another pose than it is asked about.
    tree = TriangleTree.build(faces, vertices.flip(0).roll(7, 0))
    low, high = corners.amin(1), corners.amax(1)
    slow = [
        (i, j) for i, j in itertools.combinations(range(count), 2)
        if (low[i] <= high[j]).all() and (low[j] <= high[i]).all()
    ]  # fmt: skip
    assert sorted(map(tuple, tree.near_pairs(vertices).tolist())) == slow
