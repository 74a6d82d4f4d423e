"""One short rendered clip, reconstructed once, and copies of the result to spoil."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.files import write_json, write_tensors
from humanmotion.io.video import read_frames, write_video
from humanmotion.jobs.demo import render_demo_clip
from humanmotion.jobs.demo_clip import DemoClip
from humanmotion.jobs.demo_motion import walking_motion
from humanmotion.jobs.exports import ReconstructionFiles
from humanmotion.jobs.reconstruct import reconstruct
from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.model import LEVELS, PosePrior, table_levels
from humanmotion.prior.space import SIZE, PoseSpace
from humanmotion.recovery.detection import MediaPipeDetector

MOCAP_FRAMES = 90


@dataclass(frozen=True)
class Done:
    """A clip of two shots and one second each, what was filmed, and what was reconstructed."""

    video: Path
    truth: DemoClip
    files: ReconstructionFiles

    def copy(self, folder: Path, *, stages_only: bool = False) -> Path:
        """The results, or their stage files alone, in a new folder."""
        if stages_only:
            shutil.copytree(self.files.folder / "stages", folder / "stages")
        else:
            shutil.copytree(self.files.folder, folder)
        return folder


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("clip")
    video = folder / "clip.mp4"
    truth = render_demo_clip(video, seconds=2, size=(640, 360), shots=2)
    return Done(video, truth, reconstruct(video, output=folder / "out"))


@pytest.fixture(scope="session")
def part(done: Done, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    """A video of some frames of the clip."""

    def make(start: int, stop: int) -> Path:
        path = tmp_path_factory.mktemp("part") / "part.mp4"
        frames = [image for _, image in read_frames(done.video)]
        write_video(path, frames[start:stop], fps=30)
        return path

    return make


@pytest.fixture(scope="session")
def empty_room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of eight noisy pictures with nobody in them."""
    path = tmp_path_factory.mktemp("room") / "room.mp4"
    noise = np.random.default_rng(0).integers(90, 160, (8, 120, 160, 3), np.uint8)
    write_video(path, list(noise), fps=30)
    return path


@pytest.fixture
def no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for people fails: what is already known must be used."""

    def refuse(self: MediaPipeDetector) -> None:
        raise AssertionError("people were looked for again")

    monkeypatch.setattr(MediaPipeDetector, "__init__", refuse)


@pytest.fixture(scope="session")
def bodies() -> ModuleType:
    """Makers of synthetic body files, from the tests of the body."""
    path = Path(__file__).parents[1] / "body" / "conftest.py"
    spec = importlib.util.spec_from_file_location("jobs_bodies", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A prior that knows nothing but a spread, in the files that training writes."""
    torch.manual_seed(0)
    networks = {
        "pose": Denoiser(DenoiserConfig(width=16, hidden=16, blocks=1)),
        "motion": Denoiser(DenoiserConfig(width=16, hidden=16, blocks=1, frames=60, heads=2)),
    }
    error = (table_levels() / (1 + table_levels() ** 2).sqrt())[:, None].expand(LEVELS, SIZE)
    space = PoseSpace(torch.eye(3).repeat(54, 1, 1), torch.full((SIZE,), 0.4))
    prior = PosePrior(space, networks, {"pose": error.clone(), "motion": error.clone()})
    path = tmp_path_factory.mktemp("weights") / "prior.safetensors"
    write_tensors(path, prior.tensors())
    write_json(path.with_suffix(".json"), prior.config())
    return path


@pytest.fixture(scope="session")
def walk(body):
    return walking_motion(body, seconds=0.7)


@pytest.fixture(scope="session")
def swaying(tmp_path_factory) -> Path:
    """Two sets of swaying people: one without fingers whose collars are stiff, one with everything."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    speed, phase = rng.uniform(0.9, 1.1, 165), rng.uniform(0, 6, 165)
    for name, split_names in (("cmu", ("train", "val")), ("rocketbox", ("train", "val", "test"))):
        (folder / name).mkdir()
        arrays, rows = {}, []
        for split in split_names:
            clip = f"{name}_{split}"
            t = np.linspace(0, 6, MOCAP_FRAMES)[:, None]
            sway = np.sin(t * speed + phase + rng.uniform(0, 6)) * 0.3
            if name == "cmu":
                sway[:, 13 * 3 : 15 * 3] = 0.0
            members = {"poses": sway[:, :66]}
            if name == "rocketbox":
                members |= {"face": sway[:, 66:75], "hands": sway[:, 75:]}
            for member, values in members.items():
                arrays[f"{clip}/{member}"] = np.round(values * 32767 / np.pi).astype(np.int16)
            arrays[f"{clip}/pelvis"] = np.zeros((MOCAP_FRAMES, 3), np.int16)
            arrays[f"{clip}/origin"] = np.zeros(3, np.float32)
            bad = [[80, 82]] if name == "cmu" else []
            rows.append({"id": clip, "split": split, "shard": "shard_000.npz", "bad": bad})
        np.savez(folder / name / "shard_000.npz", **arrays)
        (folder / name / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder
