"""Training a refiner on a folder made here: drafts beside their truth, and a run that resumes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import torch

from humanmotion.errors import InputError
from humanmotion.jobs.fit_person import Learnt
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.jobs.motion_corpus import MotionCorpus
from humanmotion.jobs.refiner_data import CLIP, WINDOW, Drafts, RefinerWindows, make_drafts
from humanmotion.jobs.refiner_weights import load_refiner
from humanmotion.jobs.train_refiner import refining_errors, train_refiner
from humanmotion.recovery.detector_noise import NONE
from humanmotion.recovery.refiner import Refined
from humanmotion.rotations import geodesic_distance

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

CONFIG = """
seed = 1
[stopping]
every = 2
patience = 100
[network]
width = 16
hidden = 16
blocks = 1
heads = 2
[training]
steps = 4
batch = 4
warmup = 2
[drafts]
train = 2
val = 1
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def windows(swaying) -> RefinerWindows:
    corpus = MotionCorpus.read(swaying, split="train")
    drafts = make_drafts(corpus, 3, learnt=Learnt(None, load_lifter()), noise=NONE, seed=0)
    return RefinerWindows(drafts, corpus.body, varied=False)


def test_drafts_are_near_their_truth_and_can_be_kept(windows, tmp_path) -> None:
    draft, ideal = windows.draw(6, generator=torch.Generator().manual_seed(0))
    assert draft.rotations.shape == (6, WINDOW, 22, 3, 3)
    apart = geodesic_distance(draft.rotations, ideal.rotations).rad2deg()
    # Who walks so stiffly is not joined well, and a camera that turns is read with a guessed lens.
    assert float(apart[:, :, 0].median()) < 40 and float(apart[:, :, 1:].median()) < 30
    windows.drafts.write(tmp_path / "drafts.safetensors")
    again = Drafts.read(tmp_path / "drafts.safetensors")
    for field in fields(Drafts):
        assert torch.equal(getattr(again, field.name), getattr(windows.drafts, field.name))
    assert again.turns.shape == (3, CLIP, 22, 3)


def test_a_perfect_answer_has_no_error(windows) -> None:
    draft, ideal = windows.draw(4, generator=torch.Generator().manual_seed(1))
    right = Refined(ideal.rotations, 40 * (ideal.contact.float() - 0.5), ideal.velocity)
    found = refining_errors(right, draft, ideal, body=windows.body)
    assert max(float(v) for v in found.values()) < 1e-3, found


def test_errors_of_another_clip_leave_the_truth_alone(windows) -> None:
    varied = RefinerWindows(windows.drafts, windows.body, varied=True)
    draft, ideal = varied.draw(24, generator=torch.Generator().manual_seed(2))
    moved = ideal.rotations[:, :, 0] @ ideal.velocity[..., None]
    still = draft.still[:, 1:] & (draft.shot_id[:, 1:] == draft.shot_id[:, :-1])
    # Where the camera stands, the pelvis moves before it as the truth does.
    step = 30 * draft.offset.diff(dim=1)
    away = (step - moved[:, 1:, :, 0]).norm(dim=-1)
    assert bool(still.any()) and float(away[still].median()) < 0.2
    apart = geodesic_distance(draft.rotations[:, :, 0], ideal.rotations[:, :, 0]).rad2deg()
    assert float(apart.median()) < 30


def test_a_killed_run_ends_with_the_same_bytes(swaying, config, tmp_path) -> None:
    whole = train_refiner(swaying, output=tmp_path / "one", config=config)

    class Killed(Exception):
        pass

    def kill(stage: str, share: float) -> None:
        if share > 0.5:
            raise Killed

    with pytest.raises(Killed):
        train_refiner(swaying, output=tmp_path / "two", config=config, progress=kill)
    again = train_refiner(swaying, output=tmp_path / "two", config=config)
    assert whole.read_bytes() == again.read_bytes()
    assert load_refiner(again).config.width == 16


@pytest.mark.parametrize("broken", ["batch = 4", "heads = 2", "[drafts]\ntrain = 2\nval = 1"])
def test_a_config_without_what_it_needs_is_refused(tmp_path, broken: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(CONFIG.replace(broken, "heads = 3" if broken == "heads = 2" else ""))
    with pytest.raises(InputError, match="no config of a refiner"):
        train_refiner(tmp_path, output=tmp_path / "out", config=path)
