"""Laws of the world errors, and their slow twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics import (
    cut_yaw_error,
    heading,
    procrustes,
    roe,
    roe_yaw,
    rte,
    rte_share,
    seam_error,
    w_mpjpe,
    wa_mpjpe,
)
from humanmotion.rotations import rotation_about_z, rotvec_to_matrix

GEN = torch.Generator().manual_seed(3)
TRUTH = torch.randn(230, 8, 3, generator=GEN).double().cumsum(0) * 0.02
PREDICTION = TRUTH + 0.05 * torch.randn(230, 8, 3, generator=GEN).double()
TURN = rotvec_to_matrix(torch.tensor((0.3, -0.8, 1.2)).double())


def _moved(x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    return scale * x @ TURN.T + torch.tensor((4.0, -2.0, 1.0)).double()


@pytest.mark.parametrize("error", [w_mpjpe, wa_mpjpe])
def test_chunked_errors_are_blind_to_one_similarity(error) -> None:  # type: ignore[no-untyped-def]
    assert torch.allclose(
        error(_moved(PREDICTION, 1.3), TRUTH), error(PREDICTION, TRUTH), atol=1e-9
    )
    assert torch.allclose(error(_moved(TRUTH, 0.7), TRUTH), torch.zeros(230).double(), atol=1e-9)
    rigid = error(_moved(PREDICTION), TRUTH, chunk=None, scale=False)
    assert torch.allclose(rigid, error(PREDICTION, TRUTH, chunk=None, scale=False), atol=1e-9)
    assert error(_moved(TRUTH, 0.7), TRUTH, scale=False).mean() > 0.05


def test_chunked_twin_and_batch() -> None:
    slow = []
    for start in (0, 100, 200):
        p, t = PREDICTION[start : start + 100], TRUTH[start : start + 100]
        fit = procrustes(p[:2].reshape(-1, 3), t[:2].reshape(-1, 3))
        for i in range(len(p)):
            moved = np.stack(
                [(fit.scale * (fit.rotation @ x) + fit.translation).numpy() for x in p[i]]
            )
            slow.append(np.linalg.norm(moved - t[i].numpy(), axis=-1).mean())
    np.testing.assert_allclose(w_mpjpe(PREDICTION, TRUTH).numpy(), slow, atol=1e-9)
    batch = torch.stack((PREDICTION, TRUTH))
    both = wa_mpjpe(batch, torch.stack((TRUTH, TRUTH)))
    assert torch.allclose(both[0], wa_mpjpe(PREDICTION, TRUTH))
    assert torch.allclose(both[1], torch.zeros(230).double(), atol=1e-9)


def test_alignment_on_all_frames_beats_alignment_on_the_first() -> None:
    assert wa_mpjpe(PREDICTION, TRUTH).mean() < w_mpjpe(PREDICTION, TRUTH).mean()


def test_rte_of_a_path_bent_at_half_grows_after_the_bend() -> None:
    path = torch.stack((torch.linspace(0, 8, 101), torch.zeros(101), torch.zeros(101)), -1).double()
    path[:, 1] = path[:, 0].sin()
    bent = path.clone()
    bent[50:, 1] += torch.linspace(0, 1, 51)
    early = rte(_moved(bent), path, first=50)
    assert early[:50].max() < 1e-9
    assert float(early[-1]) == pytest.approx(1.0)
    assert torch.allclose(rte(_moved(path), path), torch.zeros(101).double(), atol=1e-9)
    share = rte_share(_moved(bent), path)
    length = path.diff(dim=0).norm(dim=-1).sum()
    assert torch.allclose(share, rte(bent, path).mean() / length)
    with pytest.raises(UsageError, match="2 m"):
        rte_share(path * 0.01, path * 0.01)


def test_rte_sees_scale() -> None:
    assert (
        rte(1.5 * PREDICTION[:, 0], TRUTH[:, 0]).mean() > rte(PREDICTION[:, 0], TRUTH[:, 0]).mean()
    )


def _roots(frames: int = 60) -> torch.Tensor:
    g = torch.Generator().manual_seed(8)
    upright = rotvec_to_matrix(torch.tensor((math.pi / 2, 0.0, 0.0)).double())
    yaw = rotation_about_z(torch.linspace(0, 2.0, frames).double())
    return yaw @ upright @ rotvec_to_matrix(0.1 * torch.randn(frames, 3, generator=g).double())


def test_roe_is_blind_to_one_world_rotation_and_sees_a_step() -> None:
    truth = _roots()
    assert roe(TURN @ truth, truth).max() < 1e-6
    stepped = truth.clone()
    stepped[40:] = rotation_about_z(torch.tensor(0.5).double()) @ truth[40:]
    error = roe(TURN @ stepped, truth, first=40)
    assert error[:40].max() < 1e-6
    assert torch.allclose(error[40:], torch.full((20,), 0.5).double(), atol=1e-6)
    yaw = roe_yaw(rotation_about_z(torch.tensor(2.0).double()) @ stepped, truth, first=40)
    assert torch.allclose(yaw, error, atol=1e-6)


def test_heading_of_the_upright_rest_pose_and_turns() -> None:
    upright = rotvec_to_matrix(torch.tensor((math.pi / 2, 0.0, 0.0)).double())
    for angle in (0.0, 0.7, -2.5):
        turned = rotation_about_z(torch.tensor(angle).double()) @ upright
        assert float(heading(turned)) == pytest.approx(angle - math.pi / 2, abs=1e-6) or float(
            heading(turned)
        ) == pytest.approx(angle + 1.5 * math.pi, abs=1e-6)


def test_cut_yaw_error_finds_each_step_alone() -> None:
    truth = _roots()
    bent = truth.clone()
    bent[20:] = rotation_about_z(torch.tensor(0.3).double()) @ bent[20:]
    bent[44:] = rotation_about_z(torch.tensor(-3.0).double()) @ bent[44:]
    error = cut_yaw_error(bent, truth, cuts=(20, 44))
    assert torch.allclose(error, torch.tensor((0.3, 3.0)).double(), atol=1e-6)
    assert cut_yaw_error(bent, truth, cuts=()).shape == (0,)


def test_seam_error_is_the_added_jump() -> None:
    path = torch.linspace(0, 3, 31)[:, None].double() * torch.tensor((1.0, 0, 0)).double()
    torn = path.clone()
    torn[10:] += torch.tensor((0.2, 0, 0)).double()
    assert torch.allclose(
        seam_error(torn, path, cuts=(10, 20)), torch.tensor((0.2, 0.0)).double(), atol=1e-9
    )
