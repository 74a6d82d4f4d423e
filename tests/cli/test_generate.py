"""`generate` on the command line: paths out, notes apart, JSON, and one line for what cannot be."""

from __future__ import annotations

import json

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.cli.main import main
from humanmotion.generation import sampler
from humanmotion.io import read_motion
from humanmotion.jobs.demo_motion import walking_motion
from tests.jobs.tiny_generator import WALK, WAVE, tiny_generator


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    body = BodyModel.load()
    walk = walking_motion(body, seconds=2)
    return tiny_generator(tmp_path_factory.mktemp("generator"), walk, body)


@pytest.fixture
def run(weights, capsys):
    def with_weights(*arguments):
        words = [str(a) for a in arguments]
        code = main(["generate", *words, "--weights", str(weights), "--steps", "2"])
        return code, *capsys.readouterr()

    return with_weights


def test_a_path_on_stdout_and_notes_on_stderr(run, tmp_path):
    path = tmp_path / "fly.npz"
    code, out, err = run("a bird eats an apple pie", "-o", path, "--seconds", 1)
    assert code == 0 and out == f"{path}\n" and len(read_motion(path)) == 30
    assert "humanmotion: note:" in err and "Nearest known" in err
    assert run("a bird eats", "-o", path, "--overwrite", "--quiet") == (0, f"{path}\n", "")


def test_several_as_json(run, tmp_path):
    code, out, err = run(
        WALK, WAVE, "-o", tmp_path / "both", "--seconds", 0.5, "--seconds", 1, "--json", "--quiet"
    )
    found = json.loads(out)
    assert code == 0 and err == "" and found["notes"] == []
    assert [p.rsplit("/", 1)[1] for p in found["motions"]] == [
        "1-a-person-walks-in-a-circle.glb", "2-someone-waves-with-the-right-hand.glb",
    ]  # fmt: skip
    assert found["page"].endswith("both/index.html")


def test_a_sequence_in_a_mirror_without_clean_up(run, tmp_path):
    code, _, _ = run(WALK, WAVE, "-o", tmp_path / "m.npz", "--seconds", 1, "--sequence",
                     "--mirror", "--no-cleanup", "--guidance", 1, "--seed", 3)  # fmt: skip
    assert code == 0 and len(read_motion(tmp_path / "m.npz")) == 60


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        ([""], "the prompt is empty", 2),
        (["🕺"], "holds no words", 2),
        (["walk " * 10_000], "at most 200 are read", 2),
        ([WALK, "--seconds", "-3"], "-3 seconds asked for", 2),
        ([WALK, "--seconds", "1e9"], "give at most 600", 2),
        ([WALK, "--seconds", "2", "--seconds", "3"], "2 lengths for 1 prompts", 2),
        ([WALK, "--num", "0"], "0 motions for each of 1 prompts", 2),
        ([WALK, "--steps", "0"], "give 1 to 1000 steps", 2),
        ([WALK, "--guidance", "-1"], "guidance -1.0 given", 2),
        ([WALK, "--keyframes", "none.npz"], "none.npz does not exist", 1),
        ([WALK, "--path", "none.csv"], "none.csv does not exist", 1),
        ([], "no prompt given", 2),
    ],
    ids=lambda value: " ".join(map(str, value))[:30] if isinstance(value, list) else None,
)
def test_one_line_for_what_cannot_be(weights, tmp_path, capsys, arguments, words, code):
    options = ["-o", str(tmp_path / "m.npz"), "--weights", str(weights), "--quiet"]
    # The last --steps counts, so that those of a case do.
    assert main(["generate", "--steps", "2", *arguments, *options]) == code
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_light_student_makes_other_motion(tmp_path):
    made = []
    for name, more in (("full", ()), ("light", ("--light",))):
        path = tmp_path / f"{name}.npz"
        words = ["generate", "a person walks", "-o", str(path), "--seconds", "2", "--quiet", *more]
        assert main(words) == 0
        made.append(read_motion(path))
    full, light = made
    assert len(full) == len(light) == 60 and not torch.equal(full.transl, light.transl)


def test_light_reads_no_reference(tmp_path, capsys):
    path = tmp_path / "x.npz"
    code = main(["generate", "-o", str(path), "--light", "--reference", str(tmp_path / "no.npz")])
    assert code != 0 and "reads no references" in capsys.readouterr().err
    assert not path.exists()


def test_without_shipped_weights(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sampler, "WEIGHTS", "generator/none.safetensors")
    assert main(["generate", WALK, "-o", str(tmp_path / "m.npz"), "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "is missing; install humanmotion again, or give weights" in err
    assert err.count("\n") == 1
