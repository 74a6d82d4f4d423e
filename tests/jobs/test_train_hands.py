"""Training hands: what was not recorded has no say, resuming to the same bytes, and it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.cli.main import main
from humanmotion.diffusion.flow import Flow
from humanmotion.errors import InputError
from humanmotion.files import read_json, read_tensors
from humanmotion.generation.hand_flow import HandFlow, HandsConfig, load_hands
from humanmotion.jobs.hands_data import HandWindows
from humanmotion.jobs.train_hands import CONFIG as CONFIG_FILE
from humanmotion.jobs.train_hands import (
    HandObjective,
    read_hands_settings,
    train_hands,
    untrained_hands,
)
from tests.jobs.generator_shards import WIDTH, write_shards
from tests.jobs.hand_shards import add_hands

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

CONFIG = f"""
seed = 1
dropped = 0.5
[stopping]
every = 2
patience = 100
keep = "last"
[network]
width = 16
hidden = 16
blocks = 1
heads = 2
text_width = {WIDTH}
[training]
steps = 4
batch = 4
warmup = 2
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return add_hands(write_shards(tmp_path_factory.mktemp("shards")))


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def windows(shards) -> HandWindows:
    return HandWindows.read(shards, split="train", body=BodyModel.load())


class Watching(torch.nn.Module):
    """Answers with a constant and keeps what it was asked."""

    def forward(self, state, time, **parts):
        self.state, self.time, self.parts = state, time, parts
        return torch.full_like(state, 0.25)


def ask(drawn, *, dropped=0.5, seed=3, network=None):
    objective = HandObjective.of(HandFlow(HandsConfig(width=16, heads=2, blocks=1)), dropped)
    watching = network or Watching()
    return watching, objective(watching, drawn, generator=torch.Generator().manual_seed(seed))


def batch(windows, count=6):
    return windows.draw(count, generator=torch.Generator().manual_seed(0))


class TestObjective:
    def test_is_the_mean_over_what_is_known(self, windows):
        drawn = batch(windows)
        seen, loss = ask(drawn)
        levels = 1000 * Flow(3.0).grid()
        total, count = 0.0, 0
        for i in range(6):
            assert float((levels - seen.time[i]).abs().min()) < 1e-3
            sigma = float(seen.time[i]) / 1000
            clean = drawn.hands[i] * drawn.asked[i]
            noise = (seen.state[i] - (1 - sigma) * clean) / sigma
            error = (0.25 - (noise - clean)) ** 2
            total += float(error[drawn.asked[i]].double().sum())
            count += int(drawn.asked[i].sum())
        assert float(loss) == pytest.approx(total / count, rel=1e-3)

    def test_what_was_not_recorded_has_no_say(self, windows):
        """Whatever stands there, even what is no number: the same input, the same loss."""
        drawn = batch(windows)
        assert not drawn.asked[drawn.body.mask].all()
        for other in (7.0, float("nan")):
            hands = torch.where(drawn.asked, drawn.hands, other)
            plain, changed = ask(drawn), ask(replace(drawn, hands=hands))
            assert torch.equal(plain[0].state, changed[0].state)
            assert torch.equal(plain[1], changed[1])

    def test_what_is_asked_for_gets_no_gradient_elsewhere(self, windows):
        drawn = batch(windows)

        class Learning(Watching):
            def forward(self, state, time, **parts):
                self.said = super().forward(state, time, **parts).requires_grad_()
                return self.said

        learning, loss = ask(drawn, network=Learning())
        loss.backward()
        assert not learning.said.grad[~drawn.asked].any() and learning.said.grad[drawn.asked].any()

    def test_the_body_is_shown_without_noise(self, windows):
        drawn = batch(windows)
        there = drawn.body.mask[..., None] & drawn.body.known[:, None]
        assert torch.equal(ask(drawn)[0].parts["body"], drawn.body.features * there)

    def test_text_is_dropped_at_its_rate_and_where_there_is_none(self, windows):
        drawn = batch(windows, 200)
        captioned = drawn.body.captioned
        read = ask(drawn)[0].parts["text_mask"].any(1)
        assert captioned.any() and not read[~captioned].any()
        assert float(read[captioned].float().mean()) == pytest.approx(0.5, abs=0.12)
        always = ask(drawn, dropped=0.0)[0].parts["text_mask"]
        assert torch.equal(always, drawn.body.text_mask & captioned[:, None])


def test_a_killed_run_ends_with_the_same_bytes(shards, config, tmp_path) -> None:
    whole = train_hands(shards, output=tmp_path / "one", config=config)

    class Killed(Exception):
        pass

    def kill(stage: str, share: float) -> None:
        if share > 0.5:
            raise Killed

    with pytest.raises(Killed):
        train_hands(shards, output=tmp_path / "two", config=config, progress=kill)
    again = train_hands(shards, output=tmp_path / "two", config=config)
    assert whole.read_bytes() == again.read_bytes()
    tensors = read_tensors(whole)
    # Statistics in full, parameters in half the bytes.
    assert tensors["mean"].dtype == torch.float32 and tensors["spread"].min() >= 0.0199
    assert tensors["enter.weight"].dtype == torch.bfloat16
    assert read_json(whole.with_suffix(".json"))["text_width"] == WIDTH
    assert load_hands(whole).config.width == 16


def test_the_command(shards, config, tmp_path, capsys) -> None:
    given = ["--data", str(shards), "-o", str(tmp_path), "--config", str(config), "--quiet"]
    assert main(["train", "hands", *given]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "hands.safetensors")]


def test_it_learns(windows, config, shards) -> None:
    settings = read_hands_settings(config)
    settings["network"] |= {"width": 64, "hidden": 64}
    network = untrained_hands(settings, windows, where=shards)
    objective = HandObjective.of(network, 0.2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    losses = []
    for step in range(40):
        own = torch.Generator().manual_seed(step)
        loss = objective(network, windows.draw(8, generator=own), generator=own)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_new_network_knows_its_data(config, windows, shards) -> None:
    network = untrained_hands(read_hands_settings(config), windows, where=shards)
    drawn = batch(windows, 100)
    values = ((drawn.hands - network.mean) / network.spread)[drawn.asked]
    assert float(values.mean().abs()) < 0.1 and 0.8 < float(values.std()) < 1.2


def test_the_shipped_config_is_the_default() -> None:
    settings = read_hands_settings(CONFIG_FILE)
    assert replace(HandsConfig(**settings["network"]), dropout=0.0) == HandsConfig()


@pytest.mark.parametrize("broken", ["steps = 4", "batch = 4", "width = 16", "dropped = 0.5"])
def test_a_config_without_what_it_needs_is_refused(tmp_path, broken: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(CONFIG.replace(broken, "nonsense = 1"))
    with pytest.raises(InputError, match="no config of a network of hands"):
        train_hands(tmp_path, output=tmp_path / "out", config=path)


def test_texts_of_another_encoder_are_told(shards, tmp_path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(CONFIG.replace(f"text_width = {WIDTH}", "text_width = 384"))
    with pytest.raises(InputError, match=f"tokens of {WIDTH} numbers, the config's text_width"):
        train_hands(shards, output=tmp_path / "out", config=path)
