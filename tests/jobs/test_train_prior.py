"""Training on a folder made here: it learns, and an interrupted run ends with the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from humanmotion.errors import InputError
from humanmotion.files import read_json, read_tensors
from humanmotion.jobs import prior_batches
from humanmotion.jobs import train_prior as train_prior_job
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.prior_batches import read_corpus
from humanmotion.jobs.prior_data import distinct, read_poses, windows
from humanmotion.jobs.train_prior import CONFIG as CONFIG_FILE
from humanmotion.jobs.train_prior import read_config, train_prior
from humanmotion.prior.model import KINDS, PosePrior
from humanmotion.prior.space import (
    BODY,
    EXPRESSION_TOKEN,
    EYES,
    LEFT_HAND,
    TOKEN_NAMES,
    spread_tokens,
)

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

CONFIG = """
seed = 1
[stopping]
every = 2
patience = 100
[pose]
width = 32
hidden = 32
blocks = 1
[pose.training]
steps = 30
batch = 64
warmup = 5
[motion]
width = 16
hidden = 16
blocks = 1
frames = 60
heads = 2
[motion.training]
steps = 4
batch = 4
warmup = 2
"""


@pytest.fixture(scope="module", autouse=True)
def few_made_up():
    """Forty thousand hands take longer to draw than the tiny networks to train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prior_batches, "SYNTHETIC", 500)
        patch.setattr(train_prior_job, "LINEAR_BATCH", 64)
        patch.setattr(train_prior_job, "VAL_BATCHES", 2)
        yield


class TestData:
    def test_what_was_not_recorded_is_missing(self, swaying) -> None:
        poses = read_poses(swaying, split="train")
        cmu = poses.recorded[0]
        missing = {TOKEN_NAMES[i] for i in (~cmu).nonzero()[:, 0] if i < BODY.stop}
        assert missing == {"left_collar", "right_collar", "left_wrist", "right_wrist"}
        assert not cmu[LEFT_HAND].any()
        whole = poses.recorded[-1]
        assert whole[:EXPRESSION_TOKEN].all() and not whole[EXPRESSION_TOKEN]

    def test_bad_frames_split_a_clip(self, swaying) -> None:
        poses = read_poses(swaying, split="train", sets=("cmu",))
        assert len(poses) == 88
        assert torch.unique_consecutive(poses.clip, return_counts=True)[1].tolist() == [80, 8]
        assert windows(poses, frames=60, stride=10)[:, 0].tolist() == [0, 10, 20]

    def test_mirroring_twice_is_nothing(self, swaying) -> None:
        poses = read_poses(swaying, split="val")
        back = poses.mirrored().mirrored()
        assert torch.equal(back.rotvec, poses.rotvec) and torch.equal(back.recorded, poses.recorded)

    def test_people_who_stand_count_once(self, swaying) -> None:
        poses = read_poses(swaying, split="val")
        still = poses[torch.zeros(50, dtype=torch.long)]
        assert len(distinct(still)) == 1 and len(distinct(poses)) > 20

    def test_nothing_there(self, tmp_path) -> None:
        with pytest.raises(InputError, match="holds none of cmu"):
            read_poses(tmp_path, split="train")


def test_what_is_shown_does_not_tell_who_recorded_a_pose(swaying) -> None:
    """Nor are the joints asked for that were never recorded; gaps have values all the same."""
    batches = read_corpus(swaying, split="train", seed=0).batches("pose", varied=True)
    generator = torch.Generator().manual_seed(0)
    state, shown, recorded = batches.draw(6000, generator=generator)
    wrist = TOKEN_NAMES.index("left_wrist")
    gone, whole = ~recorded[:, wrist], recorded[:, wrist]
    assert 1000 < int(gone.sum()) < 5000
    for token in (wrist, LEFT_HAND.start, EYES.start, EXPRESSION_TOKEN):
        shares = [float(shown[rows, token].float().mean()) for rows in (gone, whole)]
        assert shares[0] == pytest.approx(shares[1], abs=0.05) and 0.2 < shares[0] < 0.9
    # Nor do the values of what is shown: none is that of a joint that never moves.
    for part in (slice(0, 3 * EXPRESSION_TOKEN), slice(3 * EXPRESSION_TOKEN, None)):
        own, level = state[:, part], spread_tokens(shown)[:, part]
        common = own.mode(0).values
        assert float(((own == common) & level).float().mean(0).max()) < 0.02
    numbers = state[:, 3 * wrist : 3 * wrist + 3]
    assert float(numbers[gone].std()) == pytest.approx(float(numbers[whole].std()), rel=0.5)


def test_unvaried_poses_show_what_was_recorded(swaying) -> None:
    corpus = read_corpus(swaying, split="train", seed=0)
    for kind in KINDS:
        _, shown, recorded = corpus.batches(kind, varied=False).draw(
            50, generator=torch.Generator().manual_seed(0)
        )
        assert torch.equal(shown, recorded)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def trained(swaying, config, tmp_path_factory) -> Path:
    return train_prior(swaying, output=tmp_path_factory.mktemp("one"), config=config)


def test_the_weights_are_a_prior_that_has_learnt(trained) -> None:
    prior = PosePrior.from_tensors(read_tensors(trained), read_json(trained.with_suffix(".json")))
    level = 1.0
    error = prior.sigma(level)[:63].square().mean()
    # A standard normal's expected error at level 1 is a half of the variance,
    # and these joints move together.
    assert 0.01 < float(error) < 0.4


def test_a_run_that_was_interrupted_ends_with_the_same_bytes(
    swaying, config, trained, tmp_path
) -> None:
    class Stop(Exception):
        pass

    def interrupt(stage: str, share: float) -> None:
        if stage == "motion" and share >= 0.5:
            raise Stop

    with pytest.raises(Stop):
        train_prior(swaying, output=tmp_path, config=config, progress=interrupt)
    assert (tmp_path / "pose.checkpoint.safetensors").exists()
    again = train_prior(swaying, output=tmp_path, config=config)
    assert again.read_bytes() == trained.read_bytes()


@pytest.mark.parametrize("text", ["", "[pose", "seed = 1\n[pose]\nwings = 2", "seed = 1"])
def test_a_config_that_is_none(text, tmp_path) -> None:
    (tmp_path / "c.toml").write_text(text + "\n")
    with pytest.raises(InputError, match="no training config"):
        read_config(tmp_path / "c.toml")


def test_a_network_without_blocks_is_not_trained_and_asked_for_no_training(tmp_path) -> None:
    bare = CONFIG.replace("width = 16\nhidden = 16\nblocks = 1\n", "blocks = 0\n")
    path = tmp_path / "bare.toml"
    path.write_text(bare)
    with pytest.raises(InputError, match="without blocks"):
        read_config(path)
    path.write_text(bare[: bare.index("[motion.training]")])
    assert read_config(path)["motion"]["blocks"] == 0


def test_the_shipped_config_is_that_of_the_shipped_weights() -> None:
    settings, kept = read_config(CONFIG_FILE), load_prior().config()
    for kind in KINDS:
        sizes = {k: v for k, v in settings[kind].items() if k != "training"}
        assert {k: kept[kind][k] for k in sizes} == sizes
