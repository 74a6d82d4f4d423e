"""Training a lifter on a folder made here: windows that fit their truth, and a run that resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.diffusion.time_mixing import TimeSizes
from humanmotion.errors import InputError
from humanmotion.files import read_json
from humanmotion.jobs.lifter_data import WINDOW, LifterWindows
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.jobs.network_run import read_settings
from humanmotion.jobs.train_lifter import CONFIG as CONFIG_FILE
from humanmotion.jobs.train_lifter import lifting_errors, train_lifter
from humanmotion.recovery.detector_noise import NONE
from humanmotion.recovery.lifter import JOINTS, Lifted

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
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def corpus(swaying) -> LifterWindows:
    return LifterWindows.read(swaying, split="train", noise=NONE)


def test_the_truth_projects_to_what_is_shown(corpus) -> None:
    """The hips' middle lies in the picture where the truth says the pelvis is, lens known or not."""
    shown, truth = corpus.draw(40, generator=torch.Generator().manual_seed(0))
    place = (shown.view.mT @ truth.pelvis[..., None])[..., 0]
    plane = place[..., :2] / place[..., 2:]
    hips = shown.values[..., :66].unflatten(-1, (33, 2))[..., (23, 24), :].mean(-2)
    seen = hips * shown.size[..., None] + shown.centre
    sure = shown.values[..., 66 + 23] * shown.values[..., 66 + 24] > 0.1
    assert sure.float().mean() > 0.3
    away = (plane - seen)[sure].norm(dim=-1) / shown.size[sure]
    # Marks of the hips lie in front of and above the pelvis joint by a hand's breadth.
    assert float(away.median()) < 0.09


def test_a_perfect_answer_has_no_error(corpus) -> None:
    shown, truth = corpus.draw(8, generator=torch.Generator().manual_seed(1))
    right = Lifted(
        rotations=truth.rotations, pelvis=truth.pelvis, up=truth.up,
        betas=truth.betas.expand(*truth.pelvis.shape[:2], 10), velocity=truth.velocity,
        contact=40 * (truth.contact.float() - 0.5),
    )  # fmt: skip
    found = lifting_errors(right, shown, truth, body=corpus.corpus.body)
    assert max(float(v) for v in found.values()) < 1e-3, found


def test_windows_are_upright_and_standing_feet_stand(data: Path) -> None:
    real = LifterWindows.read(data, split="val", noise=NONE)
    _, truth = real.draw(16, generator=torch.Generator().manual_seed(2))
    head = (truth.joints[..., 15, :] * truth.up).sum(-1)
    assert float(head.mean()) > 0.4
    assert truth.rotations.shape == (16, WINDOW, JOINTS, 3, 3)
    assert 0.1 <= float(truth.contact.float().mean()) <= 0.95


def test_a_mirror_exchanges_what_was_recorded(corpus) -> None:
    recorded = corpus.corpus.recorded.clone()
    recorded[:, 18] = False  # a left elbow that no source moves
    one_sided = replace(corpus, corpus=replace(corpus.corpus, recorded=recorded))
    drawn = one_sided.draw(64, generator=torch.Generator().manual_seed(3))[1].recorded[:, 0]
    left, right = drawn[:, 18], drawn[:, 19]
    assert bool((left != right).all()) and 0.25 < float(left.float().mean()) < 0.75


def test_another_config_does_not_go_on_with_the_same_folder(swaying, config, tmp_path) -> None:
    train_lifter(swaying, output=tmp_path / "out", config=config)
    other = tmp_path / "other.toml"
    other.write_text(CONFIG.replace("heads = 2", "heads = 4"))
    with pytest.raises(InputError, match="another config"):
        train_lifter(swaying, output=tmp_path / "out", config=other)


def test_a_killed_run_ends_with_the_same_bytes(swaying, config, tmp_path) -> None:
    whole = train_lifter(swaying, output=tmp_path / "one", config=config)

    class Killed(Exception):
        pass

    def kill(stage: str, share: float) -> None:
        if share > 0.5:
            raise Killed

    with pytest.raises(Killed):
        train_lifter(swaying, output=tmp_path / "two", config=config, progress=kill)
    again = train_lifter(swaying, output=tmp_path / "two", config=config)
    assert whole.read_bytes() == again.read_bytes()
    assert load_lifter(again).config.width == 16


def test_the_shipped_config_is_that_of_the_shipped_weights() -> None:
    shipped = read_json(load_path())
    assert shipped == read_settings(CONFIG_FILE, TimeSizes, what="lifter")["network"]


def load_path() -> Path:
    from humanmotion.files import asset
    from humanmotion.jobs.lifter_weights import WEIGHTS

    return asset(WEIGHTS).with_suffix(".json")


@pytest.mark.parametrize("broken", ["steps = 4", "batch = 4", "width = 16", "heads = 2"])
def test_a_config_without_what_it_needs_is_refused(tmp_path, broken: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        CONFIG.replace(broken, "nonsense = 1" if broken != "heads = 2" else "heads = 3")
    )
    with pytest.raises(InputError, match="no config of a lifter"):
        train_lifter(tmp_path, output=tmp_path / "out", config=path)


def test_no_data_is_said(config, tmp_path) -> None:
    with pytest.raises(InputError, match="holds none of"):
        train_lifter(tmp_path, output=tmp_path / "out", config=config)
