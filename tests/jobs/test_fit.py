"""`humanmotion fit` on files: what is written, what stays, and what cannot be meant."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from humanmotion.cli.main import main
from humanmotion.errors import OutputError, UsageError
from humanmotion.files import read_npz, write_json, write_tensors
from humanmotion.io.convert import write_any
from humanmotion.io.npz import read_motion, write_motion
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.fit import complete_file, denoise_file, sample_file, score_file
from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.model import LEVELS, PosePrior, table_levels
from humanmotion.prior.space import SIZE, PoseSpace
from humanmotion.rotations import rotvec_to_matrix


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A prior that knows nothing but a spread, in the files that training writes."""
    torch.manual_seed(0)
    networks = {
        "pose": Denoiser(DenoiserConfig(width=16, hidden=16, blocks=1)),
        "motion": Denoiser(DenoiserConfig(width=16, hidden=16, blocks=1, frames=60, heads=2)),
    }
    error = (table_levels() / (1 + table_levels() ** 2).sqrt())[:, None].expand(LEVELS, SIZE)
    space = PoseSpace(torch.eye(3).repeat(54, 1, 1), torch.full((SIZE,), 0.4))
    prior = PosePrior(space, networks, {"pose": error.clone(), "motion": error.clone()})
    path = tmp_path_factory.mktemp("weights") / "prior.safetensors"
    write_tensors(path, prior.tensors())
    write_json(path.with_suffix(".json"), prior.config())
    return path


@pytest.fixture(scope="module")
def walk(body):
    return walking_motion(body, seconds=0.7)


@pytest.mark.parametrize("ending", [".npz", ".csv", ".trc", ".bvh"])
def test_denoise_takes_every_format_and_stays_near(ending, walk, body, weights, tmp_path) -> None:
    source = tmp_path / f"walk{ending}"
    write_any(source, walk, body=body)
    paths = denoise_file(source, output=tmp_path / "out.npz", sigma_mm=3, weights=weights)
    motion = read_motion(paths[0])
    assert len(motion) == len(walk) and motion.body_id == body.body_id
    apart = (body.joints_of(motion) - body.joints_of(walk)[: len(motion)])[:, :22]
    # BVH comes back standing on the floor anew.
    apart = apart - apart.mean((0, 1))
    assert float(apart.norm(dim=-1).mean()) < 0.006
    std = read_npz(paths[1])["joint_std_metres"]
    assert std.shape == (len(motion), 55) and (std[:, :22] >= 0).all() and std[:, 1:22].max() > 0
    assert np.isnan(std[:, 22:]).all()


def test_a_few_joints_are_enough_and_two_are_not(walk, body, weights, tmp_path) -> None:
    lines = {}
    names = ("pelvis", "head", "left_wrist", "right_wrist", "left_foot", "right_foot")
    joints = body.joints_of(walk)
    for count in (6, 2):
        columns = [body.joint_names.index(n) for n in names[:count]]
        head = ",".join(["time", *(f"{n}_{a}" for n in names[:count] for a in "xyz")])
        rows = [
            ",".join(f"{v:.5f}" for v in (float(t), *joints[i, columns].flatten().tolist()))
            for i, t in enumerate(walk.times)
        ]
        lines[count] = tmp_path / f"{count}.csv"
        lines[count].write_text("\n".join((head, *rows)) + "\n")
    paths = denoise_file(lines[6], output=tmp_path / "out.npz", sigma_mm=3, weights=weights)
    assert len(read_motion(paths[0])) == len(walk)
    with pytest.raises(UsageError, match="names 2 of the 22 body joints"):
        denoise_file(lines[2], output=tmp_path / "no.npz", weights=weights)
    assert not (tmp_path / "no.npz").exists()


@pytest.mark.parametrize("factor", [1000.0, 100.0, 0.001])
def test_joints_that_are_not_in_metres(factor, walk, body, weights, tmp_path) -> None:
    source = tmp_path / "walk.csv"
    write_any(source, walk, body=body)
    head, *rows = source.read_text().splitlines()
    scaled = []
    for row in rows:
        time, *cells = row.split(",")
        scaled.append(",".join((time, *(f"{float(c) * factor:.7f}" for c in cells))))
    source.write_text("\n".join((head, *scaled)) + "\n")
    with pytest.raises(UsageError, match="convert them to metres"):
        denoise_file(source, output=tmp_path / "o.npz", weights=weights)


def test_complete_changes_what_is_hidden_only(walk, weights, tmp_path) -> None:
    source = tmp_path / "walk.npz"
    write_motion(source, walk)
    paths = complete_file(source, output=tmp_path / "out.npz", hide=["left_elbow"], hypotheses=2,
                          weights=weights)  # fmt: skip
    assert [p.name for p in paths] == ["out_1.npz", "out_2.npz"]
    first, second = (read_motion(p) for p in paths)
    here = walk.joints_present.clone()
    here[18] = False
    assert torch.allclose(first.rotvec[:, here], walk.rotvec[:, here], atol=1e-3)
    assert (first.rotvec[:, 18] - second.rotvec[:, 18]).abs().max() > 0.05
    with pytest.raises(UsageError, match="'tail' given"):
        complete_file(source, output=tmp_path / "x.npz", hide=["tail"], weights=weights)


def test_samples_stand_on_the_floor(body, weights, tmp_path) -> None:
    path = sample_file(tmp_path / "s.npz", count=2, seconds=0.3, weights=weights)
    motion = read_motion(path)
    assert len(motion) == 18
    lowest = (body.joints_of(motion)[:, [10, 11], 2] - body.sole_offset()).amin(-1)
    assert float(lowest.abs().max()) < 0.01
    with pytest.raises(OutputError, match="exists already"):
        sample_file(path, weights=weights)


def test_scores_name_the_joint_that_is_wrong(walk, weights, tmp_path) -> None:
    broken = walk.rotvec.clone()
    broken[:, 18] = torch.tensor((0.0, 2.8, 0.0))
    write_motion(tmp_path / "a.npz", walk)
    write_motion(tmp_path / "b.npz", walk.with_rotations(rotvec_to_matrix(broken)))
    good, bad = (score_file(tmp_path / f"{n}.npz", weights=weights) for n in "ab")
    worst = max((v, k) for k, v in bad.items() if k != "mean")[1]
    assert worst == "left_elbow" and bad["left_elbow"] > 2 * good["left_elbow"]


def test_the_commands(walk, weights, tmp_path, capsys) -> None:
    source, out = tmp_path / "walk.npz", tmp_path / "out.npz"
    write_motion(source, walk)
    given = ["--weights", str(weights)]
    assert main(["fit", "denoise", str(source), "-o", str(out), "--sigma-mm", "5", *given]) == 0
    assert capsys.readouterr().out.split() == [str(out), str(tmp_path / "out_std.npz")]
    assert main(["fit", "denoise", str(source), "-o", str(out), *given]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["fit", "score", str(source), "--json", *given]) == 0
    assert '"left_elbow"' in capsys.readouterr().out
    assert (
        main(["fit", "sample", "-o", str(tmp_path / "s.npz"), "--weights", "no.safetensors"]) == 1
    )
    assert "no.safetensors does not exist" in capsys.readouterr().err
