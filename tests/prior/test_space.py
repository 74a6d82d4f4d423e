from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.motion import MIRROR_JOINTS
from humanmotion.prior.space import (
    BODY,
    EXPRESSION_TOKEN,
    MIN_SPREAD,
    MIRROR_TOKENS,
    SIZE,
    TOKEN_NAMES,
    TOKEN_OF,
    TOKENS,
    PoseSpace,
    spread_tokens,
    token_mask,
)
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix


def some_space(count: int = 400) -> tuple[PoseSpace, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    middle = rotvec_to_matrix(torch.randn(54, 3, generator=generator))
    away = 0.3 * torch.randn(count, 54, 3, generator=generator)
    rotations = middle @ rotvec_to_matrix(away)
    faces = torch.rand(count, 10, generator=generator)
    return PoseSpace.fit(rotations, faces, weights=torch.ones(count, TOKENS)), rotations, faces


@pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
def test_round_trip(lead) -> None:
    space, _, _ = some_space()
    generator = torch.Generator().manual_seed(1)
    rotations = rotvec_to_matrix(1.2 * torch.randn(*lead, 55, 3, generator=generator))
    faces = torch.randn(*lead, 10, generator=generator)
    state = space.to_state(rotations, faces)
    assert state.shape == (*lead, SIZE)
    back = space.to_rotations(state, rotations[..., 0, :, :])
    assert float(geodesic_distance(back, rotations).max()) < 1e-3
    assert torch.allclose(space.to_expression(state), faces, atol=1e-5)


def test_the_data_have_zero_mean_and_unit_spread() -> None:
    space, rotations, faces = some_space()
    root = torch.eye(3).expand(len(rotations), 1, 3, 3)
    state = space.to_state(torch.cat((root, rotations), 1), faces)
    turns = state[:, : 3 * EXPRESSION_TOKEN]
    assert float(turns.mean(0).abs().max()) < 1e-3
    assert torch.allclose((turns**2).mean(0).sqrt(), torch.ones(162), atol=1e-3)


def test_what_was_not_recorded_does_not_count() -> None:
    space, rotations, faces = some_space()
    weights = torch.ones(len(rotations), TOKENS)
    spoilt = rotations.clone()
    spoilt[::2, 4] = rotvec_to_matrix(torch.tensor((3.0, 0.0, 0.0)))
    weights[::2, 4] = 0
    kept = PoseSpace.fit(spoilt, faces, weights=weights)
    half = PoseSpace.fit(
        rotations[1::2], faces[1::2], weights=torch.ones(len(rotations[1::2]), TOKENS)
    )
    assert torch.allclose(kept.mean[4], half.mean[4], atol=1e-4)
    with pytest.raises(UsageError, match="left_ankle"):
        PoseSpace.fit(rotations, faces, weights=weights * (torch.arange(TOKENS) != 6))
    del space


def test_a_frozen_joint_is_not_certain() -> None:
    _, rotations, faces = some_space()
    rotations[:, 9] = torch.eye(3)
    space = PoseSpace.fit(rotations, faces, weights=torch.ones(len(rotations), TOKENS))
    assert torch.allclose(space.spread[27:30], torch.tensor(MIN_SPREAD))


def test_tokens() -> None:
    assert len(TOKEN_OF) == SIZE and len(TOKEN_NAMES) == TOKENS
    assert spread_tokens(torch.arange(TOKENS))[[0, 2, 3, 161, 162, 171]].tolist() == [
        0, 0, 1, 53, 54, 54,
    ]  # fmt: skip
    assert [MIRROR_TOKENS[t] for t in MIRROR_TOKENS] == list(range(TOKENS))
    assert MIRROR_TOKENS[3] == MIRROR_JOINTS[4] - 1
    mask = token_mask("body", "left_index1", "expression")
    assert mask[BODY].all() and int(mask.sum()) == 23
    with pytest.raises(UsageError, match="'tail' given"):
        token_mask("tail")
