"""Prompts unlike all that was learnt get one line with what is near."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.generation.known import KnownCaptions, best_threshold, read_known
from humanmotion.generation.minilm import MiniLM
from humanmotion.jobs.known_captions import known_captions, write_known, write_known_beside
from humanmotion.jobs.shards import Shards

CAPTIONS = ("a person walks forward", "a man sits down on a chair", "a woman waves her hand")


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM.load()


@pytest.fixture(scope="module")
def known(encoder) -> KnownCaptions:
    return KnownCaptions(CAPTIONS, encoder.encode(CAPTIONS).sentence, 0.6)


def test_what_is_known_gets_no_note(known, encoder):
    for prompt in ("someone walks ahead", "a person sits on a chair"):
        assert known.note(prompt, encoder.encode([prompt]).sentence[0]) is None


def test_what_is_unknown_gets_one_line_with_the_nearest(known, encoder):
    prompt = "a dragon breathes fire over the village"
    note = known.note(prompt, encoder.encode([prompt]).sentence[0])
    assert note.startswith(f'"{prompt}" is unlike') and "\n" not in note
    assert all(c in note for c in CAPTIONS)


def test_the_nearest_come_first(known, encoder):
    sentence = encoder.encode(["a lady is waving"]).sentence[0]
    near = known.nearest(sentence, count=2)
    assert near[0][0] == CAPTIONS[2] and near[0][1] >= near[1][1]
    slow = max(float(s @ sentence) for s in known.sentences)
    assert near[0][1] == pytest.approx(slow, abs=1e-6)


def test_threshold_by_trying_all():
    good, bad = [0.9, 0.8, 0.5], [0.3, 0.6, 0.2]
    found = best_threshold(good, bad)

    def told(t: float) -> float:
        return sum(g >= t for g in good) / 3 + sum(b < t for b in bad) / 3

    assert told(found) == max(told(i / 100) for i in range(101)) == pytest.approx(5 / 3)
    with pytest.raises(UsageError, match="0 unknown"):
        best_threshold(good, [])


def row(split: str, action: str, caption: str) -> dict:
    return {
        "split": split, "action": action, "captions": [caption], "mirrored_captions": [caption],
        "given": 1, "frames": 0, "start": 0,
    }  # fmt: skip


def test_tuned_on_val_and_kept_in_a_file(encoder, tmp_path):
    rows = [
        row("train", "walk", CAPTIONS[0]), row("train", "sit", CAPTIONS[1]),
        row("val", "walk", "a person walks"), row("val", "swim", "a person swims in a pool"),
        row("test", "fly", "a bird"),
    ]  # fmt: skip
    captions = [r["captions"][0] for r in rows]
    said = encoder.encode(captions)
    shards = Shards(
        rows, torch.zeros(0, 276), torch.ones(5, 22).bool(), captions, said.tokens, said.mask,
        said.sentence,
    )  # fmt: skip
    known = known_captions(shards)
    assert known.captions == CAPTIONS[:2]
    alike = said.sentence @ said.sentence[:2].mT
    assert float(alike[3].max()) < known.threshold <= float(alike[2].max()) + 1e-6
    write_known(tmp_path / "known", known)
    again = read_known(tmp_path / "known")
    assert again.captions == known.captions and again.threshold == known.threshold
    assert torch.equal(again.sentences, known.sentences)
    write_known_beside(tmp_path / "beside" / "generator.safetensors", shards)
    beside = read_known(tmp_path / "beside" / "known.safetensors")
    assert beside.captions == known.captions and beside.threshold == known.threshold
    # Without a prompt of an action that train lacks nothing says what is unknown: the old file goes.
    write_known_beside(
        tmp_path / "beside" / "generator.safetensors", replace(shards, rows=rows[:3])
    )
    assert not (tmp_path / "beside" / "known.safetensors").exists()
    (tmp_path / "known.json").write_text('{"captions": []}')
    with pytest.raises(FileFormatError, match="holds no known captions"):
        read_known(tmp_path / "known")
