"""`score --mesh`: the metrics on a mesh and of poses, only when asked, resumed and told apart."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from humanmotion.cli.main import main
from humanmotion.errors import UsageError
from humanmotion.io.npz import write_motion
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.pose_field_weights import load_pose_field
from humanmotion.jobs.score import score
from humanmotion.jobs.score_cache import ScoreCache
from humanmotion.jobs.score_clip import ReadOptions
from humanmotion.jobs.score_mesh import MESH_METRICS, MeshMetrics
from humanmotion.jobs.score_summary import ranks
from humanmotion.metrics.body_inside import BodyInside
from humanmotion.metrics.body_penetration import BodyPenetration
from humanmotion.metrics.mbench_joints import JOINT_METRICS
from humanmotion.metrics.mbench_names import DPOSERX, MESH_INSIDE, MESH_PENETRATION, POSE_FIELD
from humanmotion.prior.pose_quality import dposerx_distance, pose_field_distance

NAMES = (MESH_PENETRATION, MESH_INSIDE, POSE_FIELD, DPOSERX)


@pytest.fixture(scope="module")
def mesh() -> MeshMetrics:
    return MeshMetrics()


@pytest.fixture(scope="module")
def walk(body):
    return walking_motion(body, seconds=0.5)


@pytest.fixture
def folder(tmp_path, body, walk):
    """A motion of 10 frames at 20 fps, of which one mesh is looked at, and joints alone."""
    (tmp_path / "a").mkdir()
    write_motion(tmp_path / "a" / "150.npz", walk)
    _joints(tmp_path / "a" / "1.npy", body, walk)
    return tmp_path / "a"


def _joints(path, body, walk):
    np.save(path, body.joints_of(walk.resample(20.0))[:, :22].numpy())
    return path


def test_values_are_those_of_the_metrics_at_20_fps(tmp_path, walk, body, mesh):
    write_motion(tmp_path / "walk.npz", walk)
    (system,) = score([tmp_path / "walk.npz"], more=[mesh]).systems
    found = system.clips[0].values
    even = walk.resample(20.0)
    assert found[MESH_PENETRATION] == BodyPenetration(body)(even)
    assert found[MESH_INSIDE] == BodyInside(body)(even)[1]
    assert found[POSE_FIELD].value == pytest.approx(
        pose_field_distance(load_pose_field(), even).value
    )
    assert found[DPOSERX].value == pytest.approx(dposerx_distance(load_prior(), even).value)
    assert set(found) >= {*JOINT_METRICS, *NAMES} and MESH_METRICS == NAMES


def test_joints_alone_have_no_value_and_the_reason(tmp_path, walk, body, mesh):
    (system,) = score([_joints(tmp_path / "j.npy", body, walk)], more=[mesh]).systems
    for name in NAMES:
        assert system.clips[0].values[name].value is None
        assert "no rotations" in system.clips[0].values[name].reason
    assert system.clips[0].values["Jitter_Degree"].value is not None


def test_each_group_of_prompts_gets_its_own_metrics(tmp_path, walk, body, mesh):
    (tmp_path / "a").mkdir()
    _joints(tmp_path / "a" / "1.npy", body, walk)
    write_motion(tmp_path / "a" / "150.npz", walk)
    rows = [("Motion_Quality", 1), ("Pose_Quality", 150), ("Pose_Quality", 151)]
    rows = [{"global_id": i, "dimension": d, "prompt": ""} for d, i in rows]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    found = score([tmp_path / "a"], prompts=tmp_path / "p.json", more=[mesh]).systems[0]
    assert found.missing == ("151",)
    assert {c.stem: set(c.values) & {*NAMES, *JOINT_METRICS} for c in found.clips} == {
        "1": set(JOINT_METRICS), "150": set(NAMES),
    }  # fmt: skip
    without = score([tmp_path / "a"], prompts=tmp_path / "p.json").systems[0]
    assert [c.stem for c in without.clips] == ["1"] and not without.missing


def test_they_rank_the_lower_the_better(tmp_path, walk, mesh):
    for name, turn in (("calm", 1.0), ("wrung", 3.0)):
        (tmp_path / name).mkdir()
        odd = walk.body_pose * turn
        write_motion(tmp_path / name / "1.npz", replace(walk, body_pose=odd))
    found = score([tmp_path / "wrung", tmp_path / "calm"], more=[mesh])
    for name in (POSE_FIELD, DPOSERX):
        places = ranks(found.ranked, name)
        assert (places["calm"].place, places["wrung"].place) == (1, 2)


def test_a_cut_off_run_resumes_and_other_settings_start_anew(tmp_path, walk, mesh, monkeypatch):
    (tmp_path / "a").mkdir()
    for i in range(3):
        write_motion(tmp_path / "a" / f"{i}.npz", walk[: 8 + i])
    output, real, seen = tmp_path / "out.json", mesh.of, []

    def cut(path, prompt):
        seen.append(path.stem)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(path, prompt)

    monkeypatch.setattr(mesh, "of", cut)
    with pytest.raises(KeyboardInterrupt):
        score([tmp_path / "a"], more=[mesh], cache=ScoreCache.beside(output))
    found = score([tmp_path / "a"], more=[mesh], cache=ScoreCache.beside(output))
    assert found.resumed == 2 and seen == ["0", "1", "2", "2"]
    # Neither a run without the mesh nor one with other weights is this one.
    assert not score([tmp_path / "a"], cache=ScoreCache.beside(output)).resumed
    monkeypatch.setattr(mesh, "digest", "other weights")
    assert not score([tmp_path / "a"], more=[mesh], cache=ScoreCache.beside(output)).resumed


def test_what_cannot_be_meant_is_one_line(tmp_path, walk, mesh, capsys):
    write_motion(tmp_path / "w.npz", walk)
    with pytest.raises(UsageError, match="released mode"):
        score([tmp_path / "w.npz"], options=ReadOptions(mode="released"), more=[mesh])
    (tmp_path / "no.npz").write_bytes(b"PK")
    for options in (["--body", "x.npz"], ["--mesh", "--body", str(tmp_path / "no.npz")]):
        assert main(["score", str(tmp_path / "w.npz"), *options]) in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1


def test_all_outputs_have_them(folder, tmp_path, capsys):
    out = {ending: tmp_path / f"out.{ending}" for ending in ("json", "csv", "html")}
    options = [part for e, path in out.items() for part in (f"--{e}", str(path))]
    assert main(["score", str(folder), "--mesh", *options]) == 0
    said = capsys.readouterr()
    assert f"{DPOSERX} has no value in 1 clips: it holds joints" in said.err
    found = json.loads(out["json"].read_text())
    rows = {row["clip"]: row for row in csv.DictReader(out["csv"].open())}
    page = out["html"].read_text()
    for name in NAMES:
        assert name in said.out and name in page
        assert found["per_clip"]["1"][name] is None and rows["1"][name] == ""
        assert float(rows["150"][name]) == found["per_clip"]["150"][name]


def test_without_the_flag_nothing_of_it_is_imported(tmp_path, body, walk):
    path = _joints(tmp_path / "j.npy", body, walk)
    code = f"""
import sys
from humanmotion.cli.main import main
assert main(["score", {str(path)!r}]) == 0
heavy = "prior", "diffusion", "generation", "metrics.body_penetration", "jobs.vision"
print([m for m in sys.modules if m.startswith(tuple("humanmotion." + x for x in heavy))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
