"""`score --retrieval` and `--judge`: the two tasks of texts, their weights and answers."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from humanmotion.cli.main import main
from humanmotion.errors import FileFormatError, InputError, UsageError
from humanmotion.files import write_tensors
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.retrieval import Evaluator, EvaluatorConfig
from humanmotion.generation.retrieval_tasks import RetrievalJudge
from humanmotion.io.npz import read_motion, write_motion
from humanmotion.jobs import evaluator_scores
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.evaluator_scores import Embedded, read_threshold, write_threshold
from humanmotion.jobs.score import score
from humanmotion.jobs.score_cache import ScoreCache
from humanmotion.jobs.score_judge import judged
from humanmotion.jobs.score_output import scores_dict
from humanmotion.jobs.score_prompts import WORDS, read_prompts
from humanmotion.jobs.score_retrieval import RetrievalMetrics
from humanmotion.jobs.score_summary import label, ranks
from humanmotion.jobs.score_systems import ClipScore, SystemScores
from humanmotion.jobs.vision_judge import VisionJudge
from humanmotion.metrics.mbench_names import CHOICE, JUDGED_CHOICE, JUDGED_MATCH, MATCH
from humanmotion.metrics.mbench_value import MetricValue
from tests.jobs.test_vision_judge import StandIn, says, sends, stand_in  # noqa: F401

WRONG = ["swimming", "sleeping", "cooking", "falling"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A tiny evaluator of random weights."""
    torch.manual_seed(0)
    config = EvaluatorConfig(width=16, hidden=32, blocks=1, heads=2)
    path = tmp_path_factory.mktemp("weights") / "evaluator.safetensors"
    write_tensors(path, Evaluator(config).state_dict())
    path.with_suffix(".json").write_text(json.dumps(asdict(config)))
    return path


@pytest.fixture(scope="module")
def ours(tmp_path_factory, body) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    walk = walking_motion(body, seconds=1.0)
    for i, clip in ((250, walk), (251, walk[5:]), (350, walk[:20])):
        write_motion(folder / f"{i}.npz", clip)
    return folder


@pytest.fixture
def prompts(tmp_path) -> Path:
    return _prompts(tmp_path / "p.json")


def _prompts(path: Path, **more: object) -> Path:
    choice = {"dimension": WORDS[0], "prompt": "walking", "auxiliary_info": WRONG}
    rows = [
        {"global_id": 0, "dimension": "Motion_Quality", "prompt": "walk"},
        {"global_id": 250, **choice, **more}, {"global_id": 251, **choice},
        {"global_id": 350, "dimension": WORDS[1], "prompt": "walking"},
    ]  # fmt: skip
    path.write_text(json.dumps(rows))
    return path


def test_values_are_those_of_the_retrieval_tasks(weights, ours, prompts, body):
    metrics = RetrievalMetrics(weights.parent)
    (system,) = score([ours], prompts=prompts, more=[metrics]).systems
    found = {clip.stem: clip.values for clip in system.clips}
    assert {stem: set(v) for stem, v in found.items()} == {
        "250": {CHOICE}, "251": {CHOICE}, "350": {MATCH},
    }  # fmt: skip
    judge = RetrievalJudge(evaluator_scores.load_evaluator(weights), MiniLM.load(), body)
    for stem in ("250", "251"):
        motion = read_motion(ours / f"{stem}.npz").resample(20.0)
        assert found[stem][CHOICE] == judge.choice(motion, right="walking", wrong=WRONG)
    assert system.missing == ("0",)


def test_a_threshold_comes_from_real_clips_or_there_is_no_value(weights, ours, prompts, tmp_path):
    here = tmp_path / "evaluator.safetensors"
    for ending in (".safetensors", ".json"):
        here.with_suffix(ending).write_bytes(weights.with_suffix(ending).read_bytes())
    (system,) = score([ours], prompts=prompts, more=[RetrievalMetrics(here)]).systems
    assert "no threshold" in system.without(MATCH)["350"]
    digests = [RetrievalMetrics(here).digest]
    for bound, said in ((-1.0, 1.0), (1.0, 0.0)):
        here.with_suffix(".match.json").write_text(json.dumps({"threshold": bound}))
        metrics = RetrievalMetrics(here)
        (system,) = score([ours], prompts=prompts, more=[metrics]).systems
        assert system.numbers(MATCH) == {"350": said}
        digests.append(metrics.digest)
    assert len(set(digests)) == 3  # No bound's values stand for another's.
    here.with_suffix(".match.json").write_text('{"threshold": "high"}')
    with pytest.raises(FileFormatError, match="holds no threshold"):
        read_threshold(here)


def test_the_threshold_written_is_read_and_lies_between(tmp_path):
    text = torch.eye(4)
    write_threshold(tmp_path / "e.safetensors", Embedded(text, text, torch.eye(4).bool()))
    assert read_threshold(tmp_path / "e.safetensors") == pytest.approx(0.5)
    alike = Embedded(text, text, torch.ones(4, 4, dtype=torch.bool))
    write_threshold(tmp_path / "f.safetensors", alike)
    assert read_threshold(tmp_path / "f.safetensors") is None


def test_hostile_prompts_are_a_reason_or_a_line(weights, ours, tmp_path):
    metrics = RetrievalMetrics(weights)
    found = score([ours], prompts=_prompts(tmp_path / "a.json", prompt="x" * 999), more=[metrics])
    assert "999 letters" in found.systems[0].without(CHOICE)["250"]
    with pytest.raises(FileFormatError, match="no list of labels"):
        read_prompts(_prompts(tmp_path / "b.json", auxiliary_info=[1, 2]))


def test_more_is_better_and_a_guess_is_named():
    def system(name: str, value: float) -> SystemScores:
        values = {CHOICE: MetricValue(value, None)}
        return SystemScores(name, tuple(ClipScore(str(i), Path(), 1.0, values) for i in range(3)))

    places = ranks([system("bad", 0.0), system("good", 1.0)], CHOICE)
    assert (places["good"].place, places["good"].high, places["bad"].place) == (1, 1, 2)
    assert label(CHOICE) == "MCC-retrieval ↑ (chance 0.1)" and label(MATCH) == "MG-retrieval ↑"


def test_what_cannot_be_meant_is_one_line(ours, prompts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluator_scores, "WEIGHTS", "evaluator/none.safetensors")
    monkeypatch.delenv("HUMANMOTION_VLM_URL", raising=False)
    asked = ["--prompts", str(prompts)]
    for options, said in (
        (["--retrieval"], "give --prompts"), (["--judge", "x"], "give --prompts"),
        ([*asked, "--weights", "x"], "--retrieval"),
        ([*asked, "--retrieval"], "train evaluator"),
        ([*asked, "--retrieval", "--weights", str(tmp_path)], "does not exist"),
        ([*asked, "--judge", str(tmp_path / "answers")], "HUMANMOTION_VLM_URL"),
    ):  # fmt: skip
        assert main(["score", str(ours), *options]) in (1, 2), options
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1
    assert not (tmp_path / "answers").exists()


def test_the_command_tells_who_answered(weights, ours, prompts, tmp_path, capsys):
    out = tmp_path / "o.json"
    options = ["--prompts", str(prompts), "--retrieval", "--weights", str(weights.parent)]
    assert main(["score", str(ours), *options, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert len(found["about"]["evaluator"]) == 64 and set(found["per_clip"]["250"]) == {CHOICE}
    assert "chance 0.1" in capsys.readouterr().out


class TestJudge:
    def test_answers_are_scored_and_the_cost_is_told_first(
        self,
        ours,
        prompts,
        tmp_path,
        body,
        stand_in,  # noqa: F811
    ):
        stand_in.answers = [says("Answer: walking"), says("Answer: cooking"), says("Answer: yes")]
        judge = VisionJudge(stand_in.endpoint(), body, tmp_path / "answers")
        scores = score([ours], prompts=prompts, groups=WORDS, reference=ours)
        told: list[tuple[str, int]] = []
        found = judged(scores, judge, tell=lambda line: told.append((line, len(stand_in.asked))))
        assert told == [(told[0][0], 0)] and told[0][0].startswith("3 questions to ask")
        system, real = found.systems
        assert system.numbers(JUDGED_CHOICE) == {"250": 1.0, "251": 0.0}
        assert system.numbers(JUDGED_MATCH) == {"350": 1.0}
        assert real == scores.systems[1]
        assert scores_dict(found)["about"]["vision_language_model"] == "sees"
        # Answers are looked up, not asked again.
        assert judged(scores, judge, tell=str).systems == found.systems
        assert len(stand_in.asked) == 3

    def test_an_endpoint_that_goes_down_is_one_error_and_the_run_goes_on_later(
        self,
        ours,
        prompts,
        tmp_path,
        body,
        stand_in,  # noqa: F811
    ):
        stand_in.answers = [says("Answer: walking"), sends(400, b"broken")]
        judge = VisionJudge(stand_in.endpoint(), body, tmp_path / "answers")
        cache = tmp_path / "o.json"

        def run():
            kept = ScoreCache.beside(cache)
            return score([ours], prompts=prompts, groups=WORDS, cache=kept)

        with pytest.raises(InputError, match="clip 251, 1 of 3 done"):
            judged(run(), judge, tell=str)
        stand_in.answers = [says("Answer: no")]
        again = run()
        found = judged(again, judge, tell=str).systems[0]
        assert again.resumed == 3 and found.numbers(JUDGED_CHOICE) == {"250": 1.0, "251": 0.0}
        assert len(stand_in.asked) == 4

    def test_joints_alone_and_scores_without_prompts(self, ours, prompts, tmp_path, body, stand_in):  # noqa: F811
        import numpy as np

        folder = tmp_path / "joints"
        folder.mkdir()
        joints = body.joints_of(read_motion(ours / "250.npz").resample(20.0))[:, :22]
        np.save(folder / "250.npy", joints.numpy())
        judge = VisionJudge(stand_in.endpoint(), body, tmp_path / "answers")
        scores = score([folder], prompts=prompts, groups=WORDS)
        found = judged(scores, judge, tell=str).systems[0]
        assert "no rotations" in found.without(JUDGED_CHOICE)["250"] and not stand_in.asked
        with pytest.raises(UsageError, match="give --prompts"):
            judged(replace(scores, prompts=None), judge, tell=str)
