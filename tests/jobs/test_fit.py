"""`humanmotion fit` on files: what is written, what stays, and what cannot be meant."""

from __future__ import annotations

import pytest
import torch

from humanmotion.cli.main import main
from humanmotion.errors import OutputError, UsageError
from humanmotion.io.npz import read_motion, write_motion
from humanmotion.jobs.fit import complete_file, sample_file, score_file
from humanmotion.rotations import rotvec_to_matrix


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
