"""References: read from any file, recovered from a video, followed only where the gate lets them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.errors import InputError, UsageError
from humanmotion.generation.features import features_of
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.retrieval import Evaluator, EvaluatorConfig
from humanmotion.io.bvh import write_bvh
from humanmotion.io.npz import read_motion, write_motion
from humanmotion.io.smplx_params import write_smplx_params
from humanmotion.jobs import generate_reference
from humanmotion.jobs.demo import render_demo_clip
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.generate import Generated, generate
from humanmotion.jobs.generate_reference import JITTER, SIMILARITY, judged, similarity_to
from humanmotion.motion import Motion, concat
from humanmotion.rotations import matrix_to_rotvec, rotation_about_z
from tests.jobs.tiny_generator import WALK, WAVE, tiny_generator


@pytest.fixture(scope="module")
def calm(body) -> Motion:
    """A slow walk, of which every step is seen."""
    walk = walking_motion(body, seconds=1.5)
    return replace(walk, times=2 * walk.times, fps=15.0).resample(30)


@pytest.fixture(scope="module")
def generator(tmp_path_factory, calm, body) -> Path:
    return tiny_generator(tmp_path_factory.mktemp("generator"), calm, body)


@pytest.fixture
def run(generator, tmp_path):
    def with_weights(*prompts, reference, **options) -> Generated:
        return generate(prompts, output=tmp_path / "made.npz", reference=reference,
                        **({"weights": generator, "steps": 2} | options))  # fmt: skip

    return with_weights


def shaken(motion: Motion, metres: float) -> Motion:
    noise = torch.randn(motion.transl.shape, generator=torch.Generator().manual_seed(0))
    return replace(motion, transl=motion.transl + metres * noise)


class TestGate:
    def test_shaking_is_told_wherever_it_happens(self, calm, body):
        turn = rotation_about_z(torch.tensor(2.0))
        root = matrix_to_rotvec(turn @ calm.rotations[:, 0])
        pelvis = calm.transl + body.rest_joints()[0]
        moved = replace(
            calm, global_orient=root,
            transl=pelvis @ turn.T + torch.tensor((5.0, -3.0, 0.0)) - body.rest_joints()[0],
        )  # fmt: skip
        for motion in (calm, moved):
            assert judged(features_of(motion, body), similarity=None).follow
            verdict = judged(features_of(shaken(motion, 0.05), body), similarity=0.9)
            assert not verdict.follow and "not below 0.04" in verdict.why

    def test_more_noise_is_never_let_through_after_less(self, calm, body):
        levels = (0.0, 0.003, 0.01, 0.03, 0.1)
        follow = [
            judged(features_of(shaken(calm, x), body), similarity=None).follow for x in levels
        ]
        assert follow == sorted(follow, reverse=True) and follow[0] and not follow[-1]

    def test_the_prompt_counts_where_it_is_known(self, calm, body):
        features = features_of(calm, body)
        for similarity, follow in ((SIMILARITY, True), (SIMILARITY - 0.01, False)):
            verdict = judged(features, similarity=similarity)
            assert verdict.follow is follow and "similarity to the prompt" in verdict.why
        assert f"below {JITTER}" in judged(features, similarity=None).why

    def test_similarity_is_the_evaluators(self, calm, body):
        torch.manual_seed(0)
        evaluator, encoder = (
            Evaluator(EvaluatorConfig(blocks=1)).eval().requires_grad_(False),
            MiniLM.load(),
        )
        features = features_of(calm, body)
        said = encoder.encode([WALK])
        mask = torch.ones(1, len(features), dtype=torch.bool)
        want = (
            evaluator.embed_text(said.tokens, said.mask)
            @ evaluator.embed_motion(features[None], mask).mT
        )
        got = similarity_to(WALK, features, evaluator=evaluator, encoder=encoder)
        assert got == pytest.approx(want.item(), abs=1e-5)
        long = similarity_to(WALK, features.repeat(5, 1), evaluator=evaluator, encoder=encoder)
        assert -1 <= long <= 1


class TestFiles:
    @pytest.mark.parametrize("kind", ["npz", "smplx.npz", "bvh"])
    def test_any_file_any_rate(self, run, calm, body, tmp_path, kind):
        path, fast = tmp_path / f"calm.{kind}", calm.resample(50)
        if kind == "npz":
            write_motion(path, fast)
        elif kind == "bvh":
            write_bvh(path, fast, body)
        else:
            write_smplx_params(path, fast)
        made = run(reference=path)
        assert f"reference calm.{kind} is followed: jitter" in made.notes[0]
        motion = read_motion(made.motions[0])
        assert motion.fps == 30 and abs(motion.duration - calm.duration) < 0.1
        assert motion.meta["reference"] == path.name

    def test_another_reference_makes_another_motion(self, run, calm, tmp_path):
        found = []
        for name, motion in (("a", calm), ("b", calm.mirror())):
            write_motion(tmp_path / f"{name}.npz", motion)
            made = run(reference=tmp_path / f"{name}.npz", overwrite=True)
            found.append(read_motion(made.motions[0]))
        assert not torch.equal(found[0].rotvec, found[1].rotvec)

    def test_longer_than_a_window_and_several(self, run, calm, tmp_path):
        write_motion(tmp_path / "long.npz", concat([calm] * 5))
        made = run(WALK, reference=tmp_path / "long.npz", num=2)
        a, b = (read_motion(path) for path in made.motions)
        assert abs(a.duration - 5 * (calm.duration + 1 / 30)) < 0.1
        assert not torch.equal(a.rotvec, b.rotvec) and made.page is not None

    def test_weights_of_text_alone_refuse_it_at_once(self, calm, body, tmp_path):
        path = tiny_generator(tmp_path, calm, body, refers=False)
        with pytest.raises(UsageError, match="read text alone; leave out the reference"):
            generate(WALK, output=tmp_path / "o.npz", weights=path, reference=tmp_path / "none.mp4")

    def test_a_shaky_one_gives_way_to_the_prompt(self, run, calm, tmp_path):
        write_motion(tmp_path / "bad.npz", shaken(calm, 0.1))
        made = run(WALK, reference=tmp_path / "bad.npz")
        assert "reference bad.npz is not followed, the prompt is: jitter" in made.notes[0]
        motion = read_motion(made.motions[0])
        assert motion.meta["text"] == WALK and abs(motion.duration - calm.duration) < 0.1
        with pytest.raises(InputError, match="give a prompt to follow instead"):
            run(reference=tmp_path / "bad.npz", overwrite=True)

    def test_the_shipped_evaluator_is_asked(self, run, calm, tmp_path, monkeypatch):
        torch.manual_seed(0)
        evaluator = Evaluator(EvaluatorConfig(blocks=1)).eval().requires_grad_(False)
        monkeypatch.setattr(generate_reference, "_shipped_evaluator", lambda: True)
        monkeypatch.setattr(generate_reference, "load_evaluator", lambda: evaluator)
        write_motion(tmp_path / "calm.npz", calm)
        made = run(WAVE, reference=tmp_path / "calm.npz")
        assert "similarity to the prompt" in made.notes[0]


def test_a_video_is_recovered_first(run, tmp_path) -> None:
    render_demo_clip(tmp_path / "clip.mp4", seconds=0.4, size=(640, 360), shots=1)
    made = run(WALK, reference=tmp_path / "clip.mp4")
    assert "reference clip.mp4 is" in made.notes[0]
    assert 0.2 < read_motion(made.motions[0]).duration < 0.6


class TestHostileInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"seconds": 3.0}, "leave --seconds out"),
            ({"sequence": True}, "leave --sequence out"),
            ({"path": "p.csv"}, "leave one of them out"),
            ({"num": 100}, "1 to 64 in all"),
        ],
    )
    def test_what_does_not_go_together(self, run, tmp_path, options, message):
        with pytest.raises(UsageError, match=message):
            run(WALK, reference=tmp_path / "r.npz", **options)

    def test_two_prompts(self, run, tmp_path):
        with pytest.raises(UsageError, match="2 prompts for one reference"):
            run(WALK, WAVE, reference=tmp_path / "r.npz")

    def test_files_that_are_none(self, run, tmp_path):
        (tmp_path / "r.mp4").write_text("no video")
        (tmp_path / "r.glb").write_text("no motion")
        for name in ("r.mp4", "none.npz"):
            with pytest.raises(InputError):
                run(WALK, reference=tmp_path / name)
        with pytest.raises(UsageError, match="holds no joint rotations"):
            run(WALK, reference=tmp_path / "r.glb")
        assert not (tmp_path / "made.npz").exists()
