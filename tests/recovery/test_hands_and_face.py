"""Fingers, jaw and expression on landmarks of a body whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.files import asset, read_npz
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery import windows
from humanmotion.recovery.face import JAW, fit_face
from humanmotion.recovery.hands import FADE_FRAMES, Side, fit_hand
from humanmotion.recovery.pose_statistics import PoseStatistics
from humanmotion.recovery.pose_track import PoseTrack
from humanmotion.rotations import rotvec_to_matrix

BODY = BodyModel.load()
NAMES = JOINT_SETS["mediapipe_543"]
FRAMES = 30
FINGERS = {"left": slice(25, 40), "right": slice(40, 55)}


def _track(rotations: torch.Tensor) -> PoseTrack:
    frames = len(rotations)
    return PoseTrack(
        rotations=rotations,
        transl=torch.tensor((0.0, 0.0, 3.0)).expand(frames, 3).clone(),
        betas=torch.zeros(10),
        expression=torch.zeros(frames, 10),
        confidence=torch.ones(frames, 55),
        times=torch.arange(frames, dtype=torch.float64) / 30,
    )


def _empty(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    joints = len(NAMES)
    return (
        torch.zeros(frames, joints, 2),
        torch.zeros(frames, joints),
        torch.zeros(frames, joints, 3),
    )


def _keypoints(xy: torch.Tensor, confidence: torch.Tensor, xyz: torch.Tensor) -> Keypoints:
    times = torch.arange(len(xy), dtype=torch.float64) / 30
    return Keypoints(xy, confidence, times, "mediapipe_543", 640, 480, xyz)


def _hand_truth(side: Side) -> torch.Tensor:
    """Rotations `(T, 55, 3, 3)`: fingers close from the mean hand to a half fist."""
    statistics = PoseStatistics.load(f"{side}_hand_pose")
    mean = statistics.mean.reshape(15, 3)
    bend = torch.zeros(15, 3)
    bend[:12, 2] = -0.5 if side == "left" else 0.5  # about z, towards the palm
    share = torch.linspace(0, 1, FRAMES)[:, None, None]
    rotations = torch.eye(3).repeat(FRAMES, 55, 1, 1)
    rotations[:, FINGERS[side]] = rotvec_to_matrix(mean + share * bend)
    return rotations


def _seen_hand(side: Side, frames: slice = slice(None)) -> tuple[torch.Tensor, Keypoints]:
    truth = _hand_truth(side)
    points = BODY.landmarks(f"hand21_{side}", truth)
    xy, confidence, xyz = _empty(FRAMES)
    first = NAMES.index(f"{side}_hand_wrist")
    xyz[frames, first : first + 21] = 1.2 * points[frames]  # another person's hand size
    confidence[frames, first : first + 21] = 0.9
    return points, _keypoints(xy, confidence, xyz)


@pytest.mark.parametrize("side", ["left", "right"])
def test_fingers_follow_their_landmarks(side: Side) -> None:
    points, keypoints = _seen_hand(side)
    rest = torch.eye(3).repeat(FRAMES, 55, 1, 1)
    fitted = fit_hand(_track(rest), keypoints, BODY, side=side,
                      shot_id=torch.zeros(FRAMES, dtype=torch.long))  # fmt: skip
    ours = BODY.landmarks(f"hand21_{side}", fitted.rotations)
    error = ((ours - ours[:, :1]) - (points - points[:, :1])).norm(dim=-1)
    before = BODY.landmarks(f"hand21_{side}", rest)
    worse = ((before - before[:, :1]) - (points - points[:, :1])).norm(dim=-1)
    assert error.mean() < 0.006 < worse.mean()
    assert (fitted.confidence[:, FINGERS[side]] == 0.9).all()


def test_an_unseen_hand_rests_with_no_confidence() -> None:
    seen = slice(0, 12)
    _, keypoints = _seen_hand("left", seen)
    rest = torch.eye(3).repeat(FRAMES, 55, 1, 1)
    track = _track(rest)
    track.confidence[:, FINGERS["left"]] = 0.0
    fitted = fit_hand(track, keypoints, BODY, side="left",
                      shot_id=torch.zeros(FRAMES, dtype=torch.long))  # fmt: skip
    gone = 12 + FADE_FRAMES
    assert torch.allclose(fitted.rotations[gone:, FINGERS["left"]], rest[gone:, FINGERS["left"]])
    assert (fitted.confidence[12:, FINGERS["left"]] == 0).all()
    # It comes back over several frames, not in one.
    step = fitted.rotations[:, FINGERS["left"]].diff(dim=0).abs().amax((1, 2, 3))
    assert step.max() < 0.35


def test_a_hand_seen_once_is_not_believed() -> None:
    _, keypoints = _seen_hand("right", slice(4, 5))
    track = _track(torch.eye(3).repeat(FRAMES, 55, 1, 1))
    fitted = fit_hand(track, keypoints, BODY, side="right",
                      shot_id=torch.zeros(FRAMES, dtype=torch.long))  # fmt: skip
    assert fitted is track


def _seen_face(opening: torch.Tensor, expression: torch.Tensor) -> Keypoints:
    rotations = torch.eye(3).repeat(len(opening), 55, 1, 1)
    turn = torch.zeros(len(opening), 3)
    turn[:, 0] = opening
    rotations[:, JAW] = rotvec_to_matrix(turn)
    points = BODY.landmarks("face", rotations, expression=expression)
    head = rotvec_to_matrix(torch.tensor((0.2, 0.5, -0.1)))
    xy, confidence, xyz = _empty(len(opening))
    columns = [NAMES.index("mesh_0") + i for i in BODY.face_mesh_ids]
    xyz[:, columns] = 0.9 * points @ head.T
    xy[:, columns] = xyz[:, columns, :2] * 1000
    confidence[:, columns] = 0.9
    return _keypoints(xy, confidence, xyz)


def test_jaw_opening_is_read_off_the_face() -> None:
    opening = torch.zeros(FRAMES)
    opening[20:26] = 0.3
    keypoints = _seen_face(opening, torch.zeros(FRAMES, 10))
    fitted = fit_face(_track(torch.eye(3).repeat(FRAMES, 55, 1, 1)), keypoints, BODY)
    jaw = fitted.rotations[:, JAW]
    angle = torch.atan2(jaw[:, 2, 1], jaw[:, 2, 2])
    assert angle[:20].abs().max() < 0.05
    assert (angle[20:26] > 0.15).all()


def test_expression_moves_the_right_way() -> None:
    expression = torch.zeros(FRAMES, 10)
    expression[20:26, 0] = 2.0
    keypoints = _seen_face(torch.zeros(FRAMES), expression)
    fitted = fit_face(_track(torch.eye(3).repeat(FRAMES, 55, 1, 1)), keypoints, BODY)
    assert fitted.expression[20:26, 0].min() > 1.0
    assert fitted.expression[:20].abs().max() < 0.3


def test_a_small_face_is_left_at_rest() -> None:
    keypoints = _seen_face(torch.full((FRAMES,), 0.3), torch.zeros(FRAMES, 10))
    tiny = Keypoints(keypoints.xy * 0.05, keypoints.confidence, keypoints.times, "mediapipe_543",
                     640, 480, keypoints.xyz)  # fmt: skip
    track = _track(torch.eye(3).repeat(FRAMES, 55, 1, 1))
    assert fit_face(track, tiny, BODY) is track


def _file_with(folder, *, change=None, without=("landmark_",)) -> BodyModel:
    """The default body's file, less some keys and with others."""
    arrays = read_npz(asset("body/default.npz"))
    kept = {key: value for key, value in arrays.items() if not key.startswith(without)}
    np.savez(folder / "SMPLX_NEUTRAL.npz", **(kept | (change or {})))
    return BodyModel.load(folder / "SMPLX_NEUTRAL.npz")


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> BodyModel:
    """An SMPL-X file as it is published: without our landmark tables."""
    return _file_with(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("side", ["left", "right"])
def test_fingers_of_a_published_file_are_fitted(plain: BodyModel, side: Side) -> None:
    points, keypoints = _seen_hand(side)
    fitted = fit_hand(_track(torch.eye(3).repeat(FRAMES, 55, 1, 1)), keypoints, plain, side=side,
                      shot_id=torch.zeros(FRAMES, dtype=torch.long))  # fmt: skip
    ours = BODY.landmarks(f"hand21_{side}", fitted.rotations)
    error = ((ours - ours[:, :1]) - (points - points[:, :1])).norm(dim=-1)
    assert error.mean() < 0.006
    assert (fitted.confidence[:, FINGERS[side]] == 0.9).all()


def test_the_face_of_a_published_file_is_fitted(plain: BodyModel) -> None:
    opening, expression = torch.zeros(FRAMES), torch.zeros(FRAMES, 10)
    opening[20:26], expression[10:14, 0] = 0.3, 2.0
    track = _track(torch.eye(3).repeat(FRAMES, 55, 1, 1))
    track.confidence[:, JAW] = 0.0
    fitted = fit_face(track, _seen_face(opening, expression), plain)
    jaw = fitted.rotations[:, JAW]
    angle = torch.atan2(jaw[:, 2, 1], jaw[:, 2, 2])
    assert (angle[20:26] > 0.15).all() and angle[:10].abs().max() < 0.05
    assert fitted.expression[10:14, 0].min() > 1.0
    assert (fitted.confidence[:, JAW] == 0.9).all()


def test_a_face_table_of_68_points_needs_no_numbers(tmp_path) -> None:
    body = _file_with(tmp_path, without=("landmark_face_mediapipe_ids", "lmk_"))
    assert body.face_mesh_ids == BODY.face_mesh_ids


def _still_jaw(weights: np.ndarray) -> dict[str, np.ndarray]:
    head = JAW - 7
    moved = weights.copy()
    moved[:, head] += moved[:, JAW]
    moved[:, JAW] = 0
    return {"weights": moved}


def test_a_body_without_hands_and_face_keeps_the_track(tmp_path) -> None:
    """What the body lacks stays at rest with the confidence it had, and nothing fails."""
    arrays = read_npz(asset("body/default.npz"))
    track = _track(torch.eye(3).repeat(FRAMES, 55, 1, 1))
    keypoints = _seen_face(torch.full((FRAMES,), 0.3), torch.zeros(FRAMES, 10))
    none = _file_with(tmp_path, without=("landmark_", "lmk_", "dynamic_"))
    assert fit_face(track, keypoints, none) is track
    dead = _file_with(tmp_path, change=_still_jaw(arrays["weights"]))
    assert fit_face(track, keypoints, dead) is track
    smpl = _file_with(tmp_path, change=_as_smpl(arrays), without=("hands_", "lmk_", "joint_names"))
    assert smpl.kind == "SMPL" and "face" in smpl.landmark_sets
    assert fit_face(track, keypoints, smpl) is track
    for side in ("left", "right"):
        assert fit_hand(track, _seen_hand(side)[1], smpl, side=side,
                        shot_id=torch.zeros(FRAMES, dtype=torch.long)) is track  # fmt: skip


def _as_smpl(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays with SMPL's 24 joints; our landmark tables stay."""
    weights, regressor = arrays["weights"].copy(), arrays["J_regressor"]
    weights[:, 15] += weights[:, 22:25].sum(1)
    hands = [weights[:, part].sum(1) for part in FINGERS.values()]
    parents = np.array([*arrays["kintree_table"][0, :22], 20, 21])
    return {
        "weights": np.column_stack((weights[:, :22], *hands)),
        "J_regressor": np.concatenate((regressor[:22], regressor[[28, 43]])),
        "kintree_table": np.array((parents, range(24))),
        "posedirs": np.zeros((len(weights), 3, 9 * 23), np.int8),
    }


def test_a_long_hand_is_fitted_in_windows_as_in_one(monkeypatch) -> None:
    side: Side = "left"
    truth = _hand_truth(side)
    xy, confidence, xyz = _empty(FRAMES)
    first = NAMES.index(f"{side}_hand_wrist")
    marks = BODY.landmarks(f"hand21_{side}", truth)
    xyz[:, first : first + 21], confidence[:, first : first + 21] = marks, 0.9
    keypoints, rest = _keypoints(xy, confidence, xyz), torch.eye(3).repeat(FRAMES, 55, 1, 1)
    shot_id = torch.zeros(FRAMES, dtype=torch.long)
    whole = fit_hand(_track(rest), keypoints, BODY, side=side, shot_id=shot_id)
    monkeypatch.setattr(windows, "FRAMES", 10)
    monkeypatch.setattr(windows, "OVERLAP", 5)
    parts = fit_hand(_track(rest), keypoints, BODY, side=side, shot_id=shot_id)
    apart = (whole.rotations - parts.rotations).abs().amax()
    assert 0 < apart < 0.02


def test_the_points_that_are_kept_are_enough() -> None:
    """The small set gives the same hand and face as the detector's whole one."""
    generator = torch.Generator().manual_seed(0)
    xy, confidence, xyz = (torch.rand(x.shape, generator=generator) for x in _empty(FRAMES))
    whole = _keypoints(400 * xy, confidence, 0.1 * xyz)
    rest, shot_id = torch.eye(3).repeat(FRAMES, 55, 1, 1), torch.zeros(FRAMES, dtype=torch.long)
    found = []
    for keypoints in (whole, whole.to_set("mediapipe_143")):
        track = fit_hand(_track(rest), keypoints, BODY, side="right", shot_id=shot_id)
        found.append(fit_face(track, keypoints, BODY))
    for name in ("rotations", "expression", "confidence"):
        assert torch.equal(getattr(found[0], name), getattr(found[1], name))
    assert found[0].expression.any() and found[0].confidence[:, JAW].any()


def test_a_set_without_hands_and_face_leaves_both_at_rest() -> None:
    xy, confidence, xyz = (x[:, :33] + 0.5 for x in _empty(FRAMES))
    times = torch.arange(FRAMES, dtype=torch.float64) / 30
    body_alone = Keypoints(xy, confidence, times, "mediapipe_33", 640, 480, xyz)
    rest, shot_id = torch.eye(3).repeat(FRAMES, 55, 1, 1), torch.zeros(FRAMES, dtype=torch.long)
    track = _track(rest)
    assert fit_hand(track, body_alone, BODY, side="left", shot_id=shot_id) is track
    assert fit_face(track, body_alone, BODY) is track
