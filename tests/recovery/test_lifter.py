"""The lifter: what it is shown does not depend on where in the picture somebody is, nor on units."""

from __future__ import annotations

import resource

import pytest
import torch

from humanmotion.camera import intrinsics, looking_at
from humanmotion.diffusion.time_mixing import TimeSizes
from humanmotion.errors import FileFormatError
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.metrics import pa_mpjpe
from humanmotion.recovery.detector_noise import NONE, watch
from humanmotion.recovery.lifter import INPUTS, Lifter, bodies, show
from humanmotion.recovery.pose_guess import PoseGuess, guess_poses
from humanmotion.recovery.virtual_cameras import film
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix

SIZE = (1280, 720)
FPS = 30.0


@pytest.fixture(scope="module")
def shot(body, walk):
    rotations, transl = walk[0][:90], walk[1][:90]
    joints = body.joints(rotations, transl=transl)
    marks = body.landmarks("mediapipe_33", rotations, transl=transl)
    generator = torch.Generator().manual_seed(4)
    taken = film(joints[:, 0], cuts=(), fps=FPS, size=SIZE, generator=generator)
    seen = watch(marks, joints, taken, fps=FPS, noise=NONE, generator=generator)
    return rotations, joints, taken[0].camera, seen


def _turn(camera):
    R = camera.R_w2c.mT
    return R[0].T @ R


def _shown(seen, camera, R_c2c0):
    return show(seen.xy[None], seen.confidence[None], seen.xyz[None], K=camera.K[None],
                R_c2c0=R_c2c0[None], fps=FPS)  # fmt: skip


def test_a_person_elsewhere_in_the_picture_is_shown_alike(shot) -> None:
    _, _, camera, seen = shot
    aside = rotvec_to_matrix(torch.tensor((0.05, -0.1, 0.0)))
    rays = (
        torch.cat((seen.xy, torch.ones_like(seen.xy[..., :1])), -1) @ torch.linalg.inv(camera.K).mT
    )
    moved = rays @ aside.T @ camera.K.mT
    moved = moved[..., :2] / moved[..., 2:]
    other = Keypoints(moved, seen.confidence, seen.times, seen.joint_set, *SIZE, seen.xyz)
    a = _shown(seen, camera, _turn(camera))
    b = _shown(other, camera, aside @ _turn(camera) @ aside.T)
    body = slice(0, 66)
    # The smallest turn to where somebody is leaves a little roll between the two views.
    assert float((a.values[..., body] - b.values[..., body]).abs().max()) < 0.06
    assert a.values.shape[-1] == INPUTS


def test_a_longer_lens_on_a_larger_picture_shows_the_same(shot) -> None:
    _, _, camera, seen = shot
    twice = Keypoints(
        2 * seen.xy, seen.confidence, seen.times, seen.joint_set, 2560, 1440, seen.xyz
    )
    a = _shown(seen, camera, _turn(camera))
    K = camera.K * torch.tensor((2.0, 2.0, 1.0))[:, None]
    b = show(twice.xy[None], twice.confidence[None], twice.xyz[None], K=K[None],
             R_c2c0=_turn(camera)[None], fps=FPS)  # fmt: skip
    torch.testing.assert_close(a.values, b.values, atol=2e-4, rtol=0)


def test_what_was_not_seen_has_no_say(shot) -> None:
    _, _, camera, seen = shot
    hidden = seen.confidence.clone()
    hidden[:, 15] = 0
    a = Keypoints(seen.xy, hidden, seen.times, seen.joint_set, *SIZE, seen.xyz)
    far = seen.xy.clone()
    far[:, 15] = 1e5
    b = Keypoints(far, hidden, seen.times, seen.joint_set, *SIZE, seen.xyz)
    assert torch.equal(
        _shown(a, camera, _turn(camera)).values, _shown(b, camera, _turn(camera)).values
    )


def test_words_are_read_in_the_view_they_were_said_in(shot) -> None:
    _, _, camera, seen = shot
    shown = _shown(seen, camera, _turn(camera))
    said = Lifter(TimeSizes(width=32, hidden=32, blocks=1, heads=2)).leave.bias.detach()
    found = bodies(said.expand(1, len(seen), -1), shown)
    # Untrained, a body lies in the middle of its box, straight before its own camera.
    torch.testing.assert_close(found.rotations[0, :, 0], shown.view[0], atol=1e-5, rtol=0)
    place = found.pelvis[0] / found.pelvis[0].norm(dim=-1, keepdim=True)
    ahead = torch.cat((shown.centre[0], torch.ones(len(seen), 1)), -1)
    ahead = (shown.view[0] @ ahead[..., None])[..., 0]
    torch.testing.assert_close(place, torch.nn.functional.normalize(ahead, dim=-1))


def test_the_shipped_one_knows_a_walk(shot, body) -> None:
    rotations, joints, camera, seen = shot
    found = guess_poses(
        load_lifter(), seen, K=camera.K, R_c2c0=_turn(camera), shot_id=torch.zeros(len(seen))
    )
    ours = body.joints(found.whole())[:, :22]
    assert 1000 * float(pa_mpjpe(ours, joints[:, :22]).mean()) < 40
    root = geodesic_distance(found.rotations[:, 0], camera.R_w2c @ rotations[:, 0])
    assert float(root.rad2deg().mean()) < 12
    apart = (found.up * camera.R_w2c[..., :, 2]).sum(-1).clamp(max=1).acos()
    assert float(apart.rad2deg().mean()) < 10


def test_it_takes_other_detectors_other_rates_and_several_shots(shot) -> None:
    _, _, camera, seen = shot
    coco = next(n for n in JOINT_SETS if n.startswith("coco"))
    flat = Keypoints(seen.xy, seen.confidence, seen.times, seen.joint_set, *SIZE).to_set(coco)
    lifter, shot_id = load_lifter(), (torch.arange(len(seen)) >= 40).long()
    whole = guess_poses(lifter, flat, K=camera.K, R_c2c0=_turn(camera), shot_id=shot_id)
    alone = guess_poses(
        lifter, flat[:40], K=camera.K[:40], R_c2c0=_turn(camera)[:40], shot_id=shot_id[:40]
    )
    torch.testing.assert_close(whole.rotations[:40], alone.rotations, atol=1e-4, rtol=0)
    rows = torch.arange(0, len(seen), 2)
    slow = guess_poses(
        lifter, seen[rows], K=camera.K[rows], R_c2c0=_turn(camera)[rows], shot_id=shot_id[rows] * 0
    )
    fast = guess_poses(lifter, seen, K=camera.K, R_c2c0=_turn(camera), shot_id=shot_id * 0)
    apart = geodesic_distance(slow.rotations, fast.rotations[rows])
    assert float(apart.rad2deg().mean()) < 4


def test_somebody_absent_leaves_finite_numbers(shot) -> None:
    _, _, camera, seen = shot
    none = Keypoints(
        seen.xy * 0, seen.confidence * 0, seen.times, seen.joint_set, *SIZE, seen.xyz * 0
    )
    found = guess_poses(
        load_lifter(), none, K=camera.K, R_c2c0=_turn(camera), shot_id=torch.zeros(len(seen))
    )
    assert bool(torch.isfinite(found.rotations).all() and torch.isfinite(found.up).all())


def test_weights_of_something_else_are_refused(tmp_path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    for sizes in (
        '{"width": 32, "hidden": 32, "blocks": 1, "heads": 2}',
        '{"dropout": 2.0}',
        '{"heads": 5}',
    ):
        (tmp_path / "other.json").write_text(sizes)
        with pytest.raises(FileFormatError, match="no lifter"):
            load_lifter(tmp_path / "other.safetensors")


def test_the_view_looks_at_the_person(shot) -> None:
    _, _, camera, seen = shot
    view = _shown(seen, camera, _turn(camera)).view[0]
    rays = (
        torch.cat((seen.xy, torch.ones_like(seen.xy[..., :1])), -1) @ torch.linalg.inv(camera.K).mT
    )
    middle = rays.mean(1)
    torch.testing.assert_close(view[..., 2], torch.nn.functional.normalize(middle, dim=-1),
                               atol=0.05, rtol=0)  # fmt: skip
    torch.testing.assert_close(looking_at(middle)[..., 2],
                               torch.nn.functional.normalize(middle, dim=-1))  # fmt: skip


def test_a_guess_pulls_where_somebody_is_seen_well(shot) -> None:
    rotations, _, _, seen = shot
    none = torch.zeros(len(rotations), 3)
    guess = PoseGuess(rotations[:, :22], none, none[:, :2], none)
    turn = 0.05 * torch.randn(len(rotations), 22, 3, generator=torch.Generator().manual_seed(0))
    present = rotations.clone()
    present[:, :22] = rotvec_to_matrix(-turn) @ rotations[:, :22]
    blocks, right = torch.zeros(len(rotations), 69, 69), torch.zeros(len(rotations), 69)
    confidence = seen.confidence.clone()
    confidence[:30] = 0.2
    confidence[30:] = 0.9
    there = guess.pull(blocks, right, present, confidence=confidence, sigma=0.2)
    assert not there[:30].any() and there[30:].all()
    assert not blocks[:30].any() and not right[:30].any()
    step = torch.linalg.solve(blocks[30:, :66, :66], right[30:, :66, None])[..., 0]
    torch.testing.assert_close(step, turn[30:].flatten(1), atol=1e-5, rtol=0)
    assert float(blocks[40, 0, 0]) == pytest.approx(25.0)


def test_a_long_shot_takes_memory_in_proportion() -> None:
    """A quarter of an hour in one shot: nothing of frames by frames."""
    frames = 27_000
    points = torch.rand(1, 33, 2).expand(frames, 33, 2) * 500
    seen = Keypoints(points, torch.ones(frames, 33), torch.arange(frames).double() / 30,
                     "mediapipe_33", *SIZE)  # fmt: skip
    tiny = Lifter(TimeSizes(width=8, hidden=8, blocks=1, heads=2)).eval()
    K = intrinsics(torch.full((frames,), 900.0), width=1280, height=720)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = guess_poses(
        tiny, seen, K=K, R_c2c0=torch.eye(3).expand(frames, 3, 3), shot_id=torch.zeros(frames)
    )
    assert len(found.rotations) == frames
    # Frames by frames of doubles would be 5.8 GB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_500_000
