"""The priors that ours is compared with, narrow ones, trained on a folder made here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.bench.humanmm import load_humanmm
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_tensors, write_tensors
from humanmotion.jobs import baseline_data, baseline_weights
from humanmotion.jobs import train_baselines as train_baselines_job
from humanmotion.jobs.baseline_data import bodies, parts, raw_numbers, right_hands
from humanmotion.jobs.baseline_recipes import RECIPES, SHARES, asked_mixed
from humanmotion.jobs.baseline_weights import (
    finished,
    read_parts,
    read_published,
    read_whitened,
    read_whole,
)
from humanmotion.jobs.prior_data import PoseSet, read_poses
from humanmotion.jobs.train_baselines import CONFIG, train_baselines
from humanmotion.prior.published import mirror_hand
from humanmotion.prior.published_networks import PublishedConfig
from humanmotion.prior.space import BODY
from humanmotion.recovery import humanmm

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

STEMS = [
    *("dp_0", "dp_1", "dp_clean_target_0", "dp_preconditioned_0", "vae_0", "distance_0"),
    *("dp_hand_0", "dp_face_0", "dp_fused_0", "dp_mixed_0", "humanmm_0"),
]
SMALL = PublishedConfig(width=64, clock=16, fusion_width=32, fusion_clock=16)
WHOLE = sum(SMALL.sizes)


def settings(names) -> str:
    return "[stopping]\nevery = 5\npatience = 1\n" + "".join(
        f"[{name}]\nseeds = [{'0, 1' if name == 'dp' else '0'}]\nbatch = 32\n"
        f"[{name}.training]\nsteps = 15\nwarmup = 2\n"
        for name in names
    )


@pytest.fixture(scope="module", autouse=True)
def small():
    """Networks as published take minutes, and so do thousands of made-up hands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baseline_weights, "SIZES", SMALL)
        patch.setattr(baseline_data, "LEAST_MADE_UP", 300)
        patch.setattr(train_baselines_job, "VAL_BATCHES", 2)
        for name in ("WIDTH", "HIDDEN", "LSTM_WIDTH", "REFINER_WIDTH"):
            patch.setattr(humanmm, name, 16)
        patch.setattr(humanmm, "HEADS", 2)
        patch.setattr(humanmm, "BLOCKS", 1)
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "c.toml"
    path.write_text(settings(RECIPES))
    return path


@pytest.fixture(scope="module")
def trained(swaying, config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("baselines")
    paths = train_baselines(swaying, output=folder, config=config)
    assert [p.stem for p in paths] == STEMS
    return folder


@pytest.fixture(scope="module")
def poses(swaying) -> PoseSet:
    return read_poses(swaying, split="train")


class TestTraining:
    @pytest.mark.parametrize("stem", STEMS)
    def test_the_best_look_is_kept_in_a_small_file(self, trained, stem) -> None:
        held = read_tensors(trained / f"{stem}.safetensors")
        lines = (trained / f"{stem}.log.jsonl").read_text().splitlines()
        log = [json.loads(x) for x in lines]
        least = min(log, key=lambda row: row["val"])
        assert int(held["step"]) == least["step"] and float(held["val"]) == least["val"]
        assert log[-1]["step"] == 15 or log[-1]["step"] == least["step"] + 5
        network = {k: v for k, v in held.items() if k.startswith("network/")}
        assert {v.dtype for v in network.values()} <= {torch.bfloat16, torch.int64}
        assert not any(k.startswith("network/parts.") for k in network)
        assert not list(trained.glob("*.checkpoint.safetensors"))

    def test_nothing_is_trained_twice_and_seeds_differ(self, trained, swaying, config) -> None:
        stamps = {p: p.stat().st_mtime_ns for p in trained.iterdir()}
        train_baselines(swaying, output=trained, config=config)
        assert {p: p.stat().st_mtime_ns for p in trained.iterdir()} == stamps
        one, other = (read_tensors(trained / f"dp_{n}.safetensors") for n in (0, 1))
        assert not torch.equal(one["network/leave.weight"], other["network/leave.weight"])

    def test_an_interrupted_run_ends_with_the_same_bytes(self, swaying, trained, tmp_path) -> None:
        class Stop(Exception):
            pass

        def interrupt(stage: str, share: float) -> None:
            if share > 0.5:
                raise Stop

        # Running statistics are the autoencoder's alone.
        (tmp_path / "c.toml").write_text(settings(["vae"]))
        with pytest.raises(Stop):
            train_baselines(
                swaying, output=tmp_path, config=tmp_path / "c.toml", progress=interrupt
            )
        assert (tmp_path / "vae_0.checkpoint.safetensors").exists()
        assert not list(finished(tmp_path))
        (path,) = train_baselines(swaying, output=tmp_path, config=tmp_path / "c.toml")
        assert path.read_bytes() == (trained / "vae_0.safetensors").read_bytes()

    def test_a_whole_body_needs_its_parts(self, swaying, tmp_path) -> None:
        (tmp_path / "c.toml").write_text(settings(["dp_fused"]))
        with pytest.raises(InputError, match="train dp first"):
            train_baselines(swaying, output=tmp_path, config=tmp_path / "c.toml")

    def test_a_config_that_is_none(self, swaying, tmp_path) -> None:
        (tmp_path / "c.toml").write_text("[dp]\nbatch = 3\n")
        with pytest.raises(InputError, match="no config of baselines"):
            train_baselines(swaying, output=tmp_path, config=tmp_path / "c.toml")

    def test_the_shipped_config_names_every_recipe(self) -> None:
        text = CONFIG.read_text(encoding="utf-8")
        assert all(f"[{name}]" in text and f"[{name}.training]" in text for name in RECIPES)


class TestFiles:
    def test_what_was_written_is_read(self, trained, poses) -> None:
        raw = bodies(poses)[:5]
        names = [name for name, _, _ in finished(trained)]
        priors = [s for s in STEMS if s != "humanmm_0"]
        assert sorted(names) == sorted(s.rpartition("_")[0] for s in priors)
        assert not any(p.requires_grad for p in load_humanmm(trained).parameters())
        for stem in ("dp_0", "dp_clean_target_0", "dp_preconditioned_0"):
            prior = read_published(trained / f"{stem}.safetensors")
            near, far = prior.denoise(raw, 0.01), prior.denoise(raw, 1.0)
            assert torch.isfinite(near).all() and not torch.allclose(near, far, atol=1e-2)
            if "clean" not in stem:
                assert torch.allclose(near, raw, atol=0.05)
        for stem in ("vae_0", "distance_0"):
            prior = read_whitened(trained / f"{stem}.safetensors")
            assert not prior.network.training
            assert torch.isfinite(prior.denoise(raw, 0.3)).all()

    def test_the_autoencoder_s_running_statistics_are_those_of_its_data(self, trained) -> None:
        first = read_whitened(trained / "vae_0.safetensors").network.encoder[0]
        # What it sees is whitened; at first they are exactly 0 and 1, and so they would stay.
        assert 0 < float(first.running_mean.abs().mean()) < 0.5
        assert int(first.num_batches_tracked) > 0

    def test_a_whole_body_is_its_parts_and_a_correction(self, trained, poses) -> None:
        base = read_whole(trained)
        hand = read_published(trained / "dp_hand_0.safetensors")
        whole = parts(poses, seed=0).whole[:4]
        state, t = base.normaliser.to_state(whole), torch.tensor(0.3)
        alone = hand.network(hand.normaliser.to_state(mirror_hand(whole[:, 63:108])), t)
        # The left hand is seen as a right one.
        assert torch.allclose(base.network(state, t)[:, 63:108], alone, atol=1e-4)
        assert torch.allclose(base.normaliser.to_pose(state), whole, atol=1e-5)
        for name in ("dp_fused", "dp_mixed"):
            prior = read_whole(trained, name)
            added = prior.network(state, t) - base.network(state, t)
            assert float(added.abs().mean()) > 0
            assert not prior.network.training

    def test_of_something_else(self, trained, tmp_path) -> None:
        held = read_tensors(trained / "dp_0.safetensors")
        write_tensors(tmp_path / "dp_0.safetensors", {k: held[k] for k in ("mean", "deviation")})
        with pytest.raises(FileFormatError, match="another network"):
            read_published(tmp_path / "dp_0.safetensors")
        del held["mean"]
        write_tensors(tmp_path / "dp_0.safetensors", held)
        with pytest.raises(FileFormatError, match="no mean"):
            read_published(tmp_path / "dp_0.safetensors")
        with pytest.raises(InputError, match="train dp first"):
            read_whole(tmp_path / "none")


class TestData:
    def test_gaps_are_drawn_and_what_was_recorded_stays(self, poses) -> None:
        raw, seen = raw_numbers(poses, BODY)
        assert bool((seen == 0).any())
        found = bodies(poses)
        assert torch.equal(found[seen > 0], raw[seen > 0])
        assert float(found[seen == 0].std()) > 0.01

    def test_left_hands_are_right_ones_in_the_mirror(self, poses) -> None:
        hands, there = right_hands(poses)
        other, its = right_hands(poses.mirrored())
        assert torch.equal(hands.roll(len(poses), 0), other)
        assert torch.equal(there.roll(len(poses)), its)
        found = parts(poses, seed=0)
        count = int((there & its).sum())
        assert len(found.whole) == count and len(found.bare) + count == 2 * len(poses)
        # Whole bodies are there mirrored, too: what one has left the other has right.
        left, right = found.whole[: count // 2, 63:108], found.whole[count // 2 :, 108:153]
        assert torch.equal(mirror_hand(left), right)

    def test_a_real_jaw_stays_and_gets_an_expression(self, poses) -> None:
        found = parts(poses, seed=0)
        raw, seen = raw_numbers(poses, slice(21, 22))
        real = seen.all(-1)
        assert torch.equal(found.faces[: int(real.sum()), :3], raw[real])
        assert float(found.faces[:, 3:].std(0).min()) > 0
        assert len(found.faces) == int(real.sum()) + 300
        again = parts(poses, seed=0)
        assert torch.equal(found.faces, again.faces) and torch.equal(found.whole, again.whole)

    def test_without_hands_or_with_nothing_else(self, swaying, poses, trained) -> None:
        with pytest.raises(InputError, match="both hands"):
            bare = poses.recorded & (torch.arange(poses.recorded.shape[1]) < BODY.stop)
            parts(replace(poses, recorded=bare), seed=0)
        every = parts(read_poses(swaying, split="train", sets=("rocketbox",)), seed=0)
        networks, normaliser = read_parts(trained)
        with pytest.raises(InputError, match="without fingers"):
            asked_mixed(every, normaliser, networks.config, device=torch.device("cpu"))

    def test_mixed_samples_are_whole_or_one_part(self, trained, poses) -> None:
        networks, normaliser = read_parts(trained)
        found = parts(poses, seed=0)
        ask = asked_mixed(found, normaliser, networks.config, device=torch.device("cpu"))
        told, asked_for = [], []

        def network(x, t, visible):
            told.append(visible)
            asked_for.append(torch.zeros_like(x).requires_grad_(True))
            return asked_for[-1] + 0

        ask(network, 4000, torch.Generator().manual_seed(0)).backward()
        each = (asked_for[0].grad != 0).split(SMALL.sizes, -1)
        present = torch.stack([x.any(-1) for x in each], -1)
        whole = present.all(-1)
        assert (present.sum(-1)[~whole] == 1).all()
        assert torch.equal(told[0][~whole], present[~whole])
        shares = [whole.float().mean(), *present[~whole].float().sum(0) / 4000]
        for share, wanted in zip(shares, SHARES, strict=True):
            assert float(share) == pytest.approx(wanted, abs=0.03)
