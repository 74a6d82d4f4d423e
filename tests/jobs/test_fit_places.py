"""`fit denoise` and `fit ik` on files: what comes back, in whatever way the points are written."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from humanmotion.body.carried_points import positions
from humanmotion.body.named_points import named_points, set_points, vertex_point
from humanmotion.cli.main import main
from humanmotion.errors import UsageError
from humanmotion.files import read_npz
from humanmotion.io.convert import write_any
from humanmotion.io.npz import read_motion, write_motion
from humanmotion.jobs.fit_places import fit_joints
from humanmotion.rotations import geodesic_distance, rotation_about_z

SIX = ("pelvis", "head", "left_wrist", "right_wrist", "left_foot", "right_foot")
Y_UP = torch.tensor(((1.0, 0, 0), (0, 0, 1), (0, -1, 0)))


def write_points(path, names, times, xyz) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["time", *(f"{n}_{a}" for n in names for a in "xyz")])
        for time, row in zip(times.tolist(), xyz.flatten(1).tolist(), strict=True):
            writer.writerow([f"{time:.6f}", *(f"{v:.6f}" for v in row)])


def joints22(body, motion) -> tuple[tuple[str, ...], Tensor]:
    return body.joint_names[:22], body.joints_of(motion)[:, :22]


def apart(body, found, motion) -> Tensor:
    """Metres `(T, 22)`."""
    return (body.joints_of(found) - body.joints_of(motion))[:, :22].norm(dim=-1)


@pytest.mark.parametrize("ending", [".npz", ".csv", ".trc", ".bvh"])
def test_denoise_takes_every_format_and_stays_near(ending, walk, body, weights, tmp_path) -> None:
    source = tmp_path / f"walk{ending}"
    write_any(source, walk, body=body)
    paths = fit_joints(source, output=tmp_path / "out.npz", sigma_mm=3, weights=weights)
    motion = read_motion(paths[0])
    assert len(motion) == len(walk) and motion.body_id == body.body_id
    gap = (body.joints_of(motion) - body.joints_of(walk)[: len(motion)])[:, :22]
    # BVH comes back standing on the floor anew.
    gap = gap - gap.mean((0, 1))
    assert float(gap.norm(dim=-1).mean()) < 0.006
    std = read_npz(paths[1])["joint_std_metres"]
    assert std.shape == (len(motion), 55) and (std[:, :22] >= 0).all() and std[:, 1:22].max() > 0
    assert np.isnan(std[:, 22:]).all()
    assert motion.joints_present.tolist() == [j < 22 for j in range(55)]
    assert not motion.confidence[:, 22:].any() and float(motion.confidence[:, :22].min()) > 0


@pytest.mark.parametrize("betas", [0.0, 1.0])
def test_ik_meets_all_joints_of_people_of_any_size(betas, walk, body, weights, tmp_path) -> None:
    person = replace(walk, betas=torch.tensor((betas, -betas, betas / 2, *[0.0] * 7)))
    write_points(tmp_path / "a.csv", *_ordered(body, person))
    fit_joints(tmp_path / "a.csv", output=tmp_path / "o.npz", sigma_mm=1, weights=weights)
    assert float(apart(body, read_motion(tmp_path / "o.npz"), person).mean()) < 0.002


def _ordered(body, motion):
    names, xyz = joints22(body, motion)
    return names, motion.times, xyz


@pytest.mark.parametrize(
    ("factor", "turned", "notes"),
    [
        (1000.0, False, ["lengths are read as mm"]),
        (100.0, True, ["lengths are read as cm", "y is up; turned to z up"]),
        (1.0, True, ["y is up; turned to z up"]),
    ],
)
def test_units_and_axes_are_found_and_said(
    factor, turned, notes, walk, body, weights, tmp_path
) -> None:
    names, xyz = joints22(body, walk)
    write_points(tmp_path / "a.csv", names, walk.times, xyz)
    write_points(tmp_path / "b.csv", names, walk.times,
                 factor * (xyz @ Y_UP.T if turned else xyz))  # fmt: skip
    said: list[str] = []
    for name in "ab":
        fit_joints(tmp_path / f"{name}.csv", output=tmp_path / f"{name}.npz", sigma_mm=2,
                   weights=weights, note=said.append if name == "b" else None)  # fmt: skip
    a, b = (read_motion(tmp_path / f"{name}.npz") for name in "ab")
    assert said == ["joints are read as smplx_55 (22 points)", *notes]
    assert float(apart(body, a, b).max()) < 0.002
    assert b.meta["notes"] == said


def test_turning_and_moving_what_was_seen_moves_the_answer(walk, body, weights, tmp_path) -> None:
    names, xyz = joints22(body, walk)
    turn, shift = rotation_about_z(torch.tensor(1.1)), torch.tensor((2.0, -1.0, 0.3))
    write_points(tmp_path / "a.csv", names, walk.times, xyz)
    write_points(tmp_path / "b.csv", names, walk.times, xyz @ turn.T + shift)
    for name in "ab":
        fit_joints(tmp_path / f"{name}.csv", output=tmp_path / f"{name}.npz", sigma_mm=2,
                   weights=weights)  # fmt: skip
    a, b = (read_motion(tmp_path / f"{name}.npz") for name in "ab")
    moved = body.joints_of(a) @ turn.T + shift
    assert float((moved - body.joints_of(b))[:, :22].norm(dim=-1).max()) < 0.003


def test_six_points_are_met_and_hypotheses_differ(walk, body, weights, tmp_path) -> None:
    which = [body.joint_names.index(n) for n in SIX]
    write_points(tmp_path / "a.csv", SIX, walk.times, body.joints_of(walk)[:, which])
    paths = fit_joints(tmp_path / "a.csv", output=tmp_path / "o.npz", sigma_mm=1, hypotheses=3,
                       each=True, weights=weights)  # fmt: skip
    assert [p.name for p in paths] == ["o.npz", "o_std.npz", "o_1.npz", "o_2.npz", "o_3.npz"]
    found = [read_motion(p) for p in (paths[0], *paths[2:])]
    for one in found:
        assert float(apart(body, one, walk)[:, which].mean()) < 0.003
    elbows = torch.stack([body.joints_of(one)[:, [18, 19]] for one in found[1:]])
    assert float(elbows.std(0).norm(dim=-1).mean()) > 0.01
    again = fit_joints(tmp_path / "a.csv", output=tmp_path / "p.npz", sigma_mm=1, hypotheses=3,
                       weights=weights)  # fmt: skip
    assert again[0].read_bytes() == paths[0].read_bytes()
    confidence = found[0].confidence.mean(0)
    assert float(confidence[18]) < float(confidence[20])


def test_markers_on_the_skin(walk, body, weights, tmp_path) -> None:
    wanted = [set_points(body, "mediapipe_33")[n] for n in ("nose", "left_heel", "right_heel")]
    wanted += [p for n in (100, 2000, 5000) if (p := vertex_point(body, f"vertex_{n}"))]
    wanted += [set_points(body, "smplx_55")["pelvis"]]
    points = named_points(body, wanted, joints=(0,), betas=torch.zeros(10))
    xyz = positions(points, walk.rotations, body.joints_of(walk)[:, 0])
    write_points(tmp_path / "a.csv", [p.name for p in wanted], walk.times, xyz)
    fit_joints(tmp_path / "a.csv", output=tmp_path / "o.npz", sigma_mm=1, weights=weights)
    found = read_motion(tmp_path / "o.npz")
    points = named_points(body, wanted, joints=(0,), betas=found.betas)
    again = positions(points, found.rotations, body.joints_of(found)[:, 0])
    assert float((again - xyz).norm(dim=-1).mean()) < 0.004


def write_turns(path, body, motion, names) -> None:
    _, world = body.frames(motion.rotations)
    which = [body.joint_names.index(n) for n in names]
    wxyz = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(world[:, which]))
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["time", *(f"{n}_{q}" for n in names for q in ("qw", "qx", "qy", "qz"))])
        for time, row in zip(motion.times.tolist(), wxyz.flatten(1).tolist(), strict=True):
            writer.writerow([f"{time:.6f}", *(f"{v:.6f}" for v in row)])


def test_orientations_with_and_without_places(walk, body, weights, tmp_path) -> None:
    names = ("pelvis", "head", "left_elbow")
    write_turns(tmp_path / "t.csv", body, walk, names)
    which = [body.joint_names.index(n) for n in SIX]
    write_points(tmp_path / "a.csv", SIX, walk.times, body.joints_of(walk)[:, which])
    _, truth = body.frames(walk.rotations)
    turned = [body.joint_names.index(n) for n in names]
    for source in (tmp_path / "a.csv", None):
        fit_joints(source, output=tmp_path / "o.npz", sigma_mm=2, turn_sigma_deg=0.5,
                   orientations=tmp_path / "t.csv", weights=weights, overwrite=True)  # fmt: skip
        _, world = body.frames(read_motion(tmp_path / "o.npz").rotations)
        assert float(geodesic_distance(world, truth)[:, turned].mean()) < 0.02
    with pytest.raises(UsageError, match="at other times than the 21"):
        write_turns(tmp_path / "s.csv", body, walk[slice(0, 5)], names)
        fit_joints(tmp_path / "a.csv", output=tmp_path / "p.npz", sigma_mm=2,
                   orientations=tmp_path / "s.csv", weights=weights)  # fmt: skip
    with pytest.raises(UsageError, match="nothing given to fit"):
        fit_joints(None, output=tmp_path / "p.npz", sigma_mm=2, weights=weights)


def test_frames_without_anybody_come_back_with_their_times(walk, body, weights, tmp_path) -> None:
    names, xyz = joints22(body, walk)
    gone = xyz.clone()
    gone[8:11], gone[3, 7] = torch.nan, torch.nan
    times = 5 + walk.times * 30 / 59.94
    write_points(tmp_path / "a.csv", names, times, gone)
    paths = fit_joints(tmp_path / "a.csv", output=tmp_path / "o.npz", sigma_mm=2, weights=weights)
    motion, std = read_motion(paths[0]), read_npz(paths[1])
    torch.testing.assert_close(motion.times, times, atol=1e-5, rtol=0)
    assert motion.fps == pytest.approx(59.94, abs=0.01)
    absent = [t for t in range(len(motion)) if not motion.confidence[t].any()]
    assert absent == [8, 9, 10] and np.isnan(std["joint_std_metres"][8:11]).all()
    here = [t for t in range(len(walk)) if t not in absent]
    assert float(apart(body, motion, walk)[here].mean()) < 0.006
    # Where nobody is seen the body goes on between where it was and where it comes back.
    assert float(apart(body, motion, walk)[absent, 0].max()) < 0.05


def test_single_poses_need_not_follow_each_other(walk, body, weights, tmp_path) -> None:
    names, xyz = joints22(body, walk)
    jumping = xyz + torch.arange(len(xyz))[:, None, None] * torch.tensor((10.0, 0, 0))
    write_points(tmp_path / "a.csv", names, walk.times, jumping)
    fit_joints(tmp_path / "a.csv", output=tmp_path / "o.npz", sigma_mm=1, stills=True,
               weights=weights)  # fmt: skip
    found = body.joints_of(read_motion(tmp_path / "o.npz"))[:, :22]
    assert float((found - jumping).norm(dim=-1).mean()) < 0.003
    write_points(tmp_path / "b.csv", names, walk.times[:1], xyz[:1])
    fit_joints(tmp_path / "b.csv", output=tmp_path / "p.npz", sigma_mm=1, weights=weights)
    assert len(read_motion(tmp_path / "p.npz")) == 1


def test_fingers_are_fitted_where_that_is_asked_for(walk, body, weights, tmp_path) -> None:
    turned = walk.rotations.clone()
    turned[:, 25] = roma.rotvec_to_rotmat(torch.tensor((0.0, 0.0, 0.6)))
    curled = walk.with_rotations(turned)
    write_points(tmp_path / "a.csv", body.joint_names[:40], walk.times,
                 body.joints_of(curled)[:, :40])  # fmt: skip
    for hands in (True, False):
        fit_joints(tmp_path / "a.csv", output=tmp_path / "o.npz", sigma_mm=1, hands=hands,
                   weights=weights, overwrite=True)  # fmt: skip
        motion = read_motion(tmp_path / "o.npz")
        assert motion.joints_present[25:40].all() == hands and not motion.joints_present[40:].any()
        gap = (body.joints_of(motion) - body.joints_of(curled))[:, 27].norm(dim=-1).mean()
        assert (float(gap) < 0.003) == hands


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda x, n: (0.001 * x, n), "convert the file to one of these"),
        (lambda x, n: (1e6 * x, n), "convert the file to one of these"),
        (lambda x, n: (x * torch.tensor((-1.0, 1, 1)), n), "swapped, or it is mirrored"),
        (lambda x, n: (x, [_other(m) for m in n]), "swapped, or it is mirrored"),
        (lambda x, n: (x, [_other(m) if "hip" in m else m for m in n]), "shoulders and hips"),
        (lambda x, n: (x @ torch.tensor(((0.0, 0, 1), (0, 1, 0), (-1, 0, 0))), n), "--up z or"),
        (lambda x, n: (x, [f"bone{i}" for i in range(22)]), "names 0 points of a body"),
        (lambda x, n: (x[:, :2], n[:2]), "names 2 points of a body"),
        (lambda x, n: (torch.full_like(x, torch.nan), n), "shows at most 0 points"),
    ],
    ids=["metres/1000", "km", "mirror", "names", "hips", "lying", "skeleton", "two", "nobody"],
)
def test_bad_joints_get_a_line_that_says_what_to_do(
    spoil, match, walk, body, weights, tmp_path
) -> None:
    names, xyz = joints22(body, walk)
    xyz, names = spoil(xyz, names)
    write_points(tmp_path / "a.csv", names, walk.times, xyz)
    with pytest.raises(UsageError, match=match) as caught:
        fit_joints(tmp_path / "a.csv", output=tmp_path / "o.npz", sigma_mm=2, weights=weights)
    assert "\n" not in str(caught.value) and not (tmp_path / "o.npz").exists()


def _other(name: str) -> str:
    swap = {"left": "right", "right": "left"}
    side, _, rest = name.partition("_")
    return f"{swap[side]}_{rest}" if side in swap else name


def test_what_a_motion_file_says_need_not_be_told(walk, weights, tmp_path) -> None:
    write_motion(tmp_path / "w.npz", walk)
    with pytest.raises(UsageError, match="leave --joints"):
        fit_joints(tmp_path / "w.npz", output=tmp_path / "o.npz", sigma_mm=2, up="y",
                   weights=weights)  # fmt: skip
    with pytest.raises(UsageError, match="at least 2"):
        fit_joints(tmp_path / "w.npz", output=tmp_path / "o.npz", sigma_mm=2, hypotheses=1,
                   weights=weights)  # fmt: skip


def test_the_commands(walk, body, weights, tmp_path, capsys) -> None:
    write_points(tmp_path / "a.csv", *_ordered(body, walk))
    given = ["--weights", str(weights), "-o", str(tmp_path / "o.npz")]
    assert main(["fit", "ik", str(tmp_path / "a.csv"), *given]) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / "o.npz"), str(tmp_path / "o_std.npz")]
    assert "note: joints are read as smplx_55" in err and "fit: " in err
    assert main(["fit", "ik", str(tmp_path / "a.csv"), *given]) == 1
    assert "exists already" in capsys.readouterr().err
    again = ["--overwrite", "--quiet", *given]
    assert main(["fit", "keypoints", str(tmp_path / "a.csv"), *again]) == 0
    assert capsys.readouterr().err == ""
    assert main(["fit", "keypoints", str(tmp_path / "a.csv"), "--focal", "9", *again]) == 2
    assert "leave --focal out" in capsys.readouterr().err
