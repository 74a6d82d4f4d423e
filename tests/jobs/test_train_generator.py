"""Training a generator: the published loss, resuming to the same bytes, and two processes as one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.diffusion.flow import Flow
from humanmotion.diffusion.training import Schedule, Trainer
from humanmotion.errors import InputError, UsageError
from humanmotion.files import read_json, read_tensors
from humanmotion.generation.foot_loss import FootLoss
from humanmotion.generation.sampler import load_generator, load_sampling
from humanmotion.generation.sampling import Sampling
from humanmotion.generation.vimogen import PRESETS, ViMoGen, ViMoGenConfig
from humanmotion.jobs.early_stopping import fabric_on
from humanmotion.jobs.generator_data import Batch, GeneratorWindows
from humanmotion.jobs.train_generator import CONFIG as CONFIG_FILE
from humanmotion.jobs.train_generator import (
    Branches,
    Objective,
    legs_of,
    read_generator_settings,
    train_generator,
    untrained,
)
from tests.jobs.generator_shards import WIDTH, write_shards

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

CONFIG = f"""
seed = 1
[stopping]
every = 2
patience = 100
keep = "last"
[network]
width = 16
hidden = 16
blocks = 1
heads = 2
reference_blocks = 1
text_width = {WIDTH}
[branches]
text = 0.5
dropped = 0.5
[sampling]
guidance = 3.5
[training]
steps = 4
batch = 4
warmup = 2
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def windows(shards) -> GeneratorWindows:
    return GeneratorWindows.read(shards, split="train", body=BodyModel.load())


def network() -> ViMoGen:
    torch.manual_seed(0)
    made = ViMoGen(
        ViMoGenConfig(width=16, hidden=16, blocks=1, heads=2, reference_blocks=1, text_width=WIDTH)
    )
    torch.nn.init.normal_(made.head.head.weight, std=0.1)
    return made


def batch(windows: GeneratorWindows, count: int = 6) -> Batch:
    return windows.draw(count, generator=torch.Generator().manual_seed(0))


class Watching(torch.nn.Module):
    """Answers with a constant and keeps what it was asked."""

    def forward(self, state, time, **parts):
        self.state, self.time, self.parts = state, time, parts
        return torch.full_like(state, 0.25)


class TestObjective:
    def ask(self, windows, drawn, *, branches=None, seed=3):
        objective = Objective.of(network(), branches or Branches())
        watching = Watching()
        loss = objective(watching, drawn, generator=torch.Generator().manual_seed(seed))
        return watching, loss

    def test_is_the_published_sum(self, windows):
        """Sample by sample and number by number, from what the network was shown."""
        drawn = batch(windows)
        seen, loss = self.ask(windows, drawn)
        weights, grid = Flow().weights(), Flow().grid()
        total, count = 0.0, 0
        for i in range(6):
            asked = drawn.mask[i, :, None] & drawn.known[i]
            clean = drawn.features[i] * asked
            sigma = float(seen.time[i]) / 1000
            weight = float(weights[(grid - sigma).abs().argmin()])
            noise = (seen.state[i] - (1 - sigma) * clean) / sigma
            error = (0.25 - (noise - clean)) ** 2
            error[:, 258:276] *= 3
            total += weight * float(error[asked].double().sum())
            count += int(asked.sum())
        assert float(loss) == pytest.approx(total / count, rel=1e-3)

    def test_branches_come_at_their_rates(self, windows):
        drawn = batch(windows, 2)
        short = replace(drawn, features=drawn.features[:, :8], mask=drawn.mask[:, :8])
        many = Batch(**{k: v.repeat_interleave(500, 0) for k, v in vars(short).items()})
        captioned = replace(many, captioned=torch.ones(1000, dtype=torch.bool))
        parts = self.ask(windows, captioned)[0].parts
        assert float(parts["referring"].float().mean()) == pytest.approx(0.2, abs=0.04)
        assert float(parts["dropped"].float().mean()) == pytest.approx(0.5, abs=0.05)
        bare = replace(many, captioned=torch.zeros(1000, dtype=torch.bool))
        assert self.ask(windows, bare)[0].parts["dropped"].all()

    def test_what_was_not_recorded_is_shown_as_the_mean_and_not_asked_for(self, windows):
        drawn = batch(windows)
        known = drawn.known.clone()
        known[:, :6] = False
        other = drawn.features.clone()
        other[..., :6] += 7
        plain, changed = (
            self.ask(windows, replace(drawn, known=known, features=f))
            for f in (drawn.features, other)
        )
        assert torch.equal(plain[0].state, changed[0].state)
        assert torch.equal(plain[0].parts["reference"], changed[0].parts["reference"])
        assert torch.equal(plain[1], changed[1])

    @pytest.mark.parametrize("shares", [(1.2, 0.5), (0.8, -0.1)])
    def test_shares_that_cannot_be(self, shares):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            Branches(*shares)


def test_a_killed_run_ends_with_the_same_bytes(shards, config, tmp_path) -> None:
    whole = train_generator(shards, output=tmp_path / "one", config=config)

    class Killed(Exception):
        pass

    def kill(stage: str, share: float) -> None:
        if share > 0.5:
            raise Killed

    with pytest.raises(Killed):
        train_generator(shards, output=tmp_path / "two", config=config, progress=kill)
    again = train_generator(shards, output=tmp_path / "two", config=config)
    assert whole.read_bytes() == again.read_bytes()
    tensors = read_tensors(whole)
    # Statistics in full, parameters in half the bytes.
    assert tensors["mean"].dtype == torch.float32 and tensors["spread"].min() >= 1e-4
    assert tensors["enter.weight"].dtype == torch.bfloat16
    assert read_json(whole.with_suffix(".json"))["text_width"] == WIDTH
    assert load_sampling(whole) == Sampling(guidance=3.5)
    assert load_generator(whole).config.text_width == WIDTH


def test_two_processes_are_one_with_both_batches(shards, config, tmp_path) -> None:
    """The command starts its own second process; a step is that of the mean of both losses."""
    given = f"--data {shards} -o {tmp_path / 'out'} --config {config} --processes 2 --quiet"
    command = [sys.executable, "-m", "humanmotion", "train", "generator", *given.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "out" / "generator.safetensors")]
    log = (tmp_path / "out" / "generator.log.jsonl").read_text().splitlines()
    assert len(log) == 2
    held = read_tensors(tmp_path / "out" / "generator.checkpoint.safetensors")
    twin = slow_twin(shards, config)
    for name, value in twin.items():
        torch.testing.assert_close(held[f"network/{name}"], value, atol=2e-5, rtol=1e-4)


def slow_twin(shards: Path, config: Path) -> dict[str, torch.Tensor]:
    """The same training in one process that draws for both."""
    settings = read_generator_settings(config)
    windows = GeneratorWindows.read(shards, split="train", body=BodyModel.load())
    made = untrained(settings, windows, where=shards)
    schedule = Schedule(steps=4, warmup=2, seed=1)
    trainer = Trainer(made, schedule, fabric=fabric_on("cpu", "32-true"))
    objective = Objective.of(made, Branches(**settings["branches"]))

    def both(network, generator):
        losses = []
        for rank in range(2):
            seed = (schedule.seed * 1_000_003 + trainer.step_number) * 1009 + rank
            own = torch.Generator().manual_seed(seed)
            losses.append(objective(network, windows.draw(4, generator=own), generator=own))
        return torch.stack(losses).mean()

    for _ in range(4):
        trainer.step(both)
    return {
        k.removeprefix("network/"): v
        for k, v in trainer.state().items()
        if k.startswith("network/")
    }


def test_a_new_network_knows_its_data(config, windows, shards) -> None:
    made = untrained(read_generator_settings(config), windows, where=shards)
    assert torch.equal(made.null_text.detach(), windows.tokens[0, :2].float())
    features = batch(windows, 100)
    values = made.normalised(features.features)[features.mask]
    assert float(values.mean(0).abs().median()) < 0.2
    assert 0.7 < float(values.std(0).median()) < 1.3


def test_the_shipped_config_is_the_small_preset() -> None:
    settings = read_generator_settings(CONFIG_FILE)
    sizes = replace(PRESETS["small"], dropout=settings["network"]["dropout"])
    assert ViMoGenConfig(**settings["network"]) == sizes
    assert Branches(**settings["branches"]) == Branches(0.85, 0.2, 0.3)


@pytest.mark.parametrize(
    "broken", ["steps = 4", "batch = 4", "width = 16", "text = 0.5", "guidance", '"last"']
)
def test_a_config_without_what_it_needs_is_refused(tmp_path, broken: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(CONFIG.replace(broken, '"first"' if broken == '"last"' else "nonsense = 1"))
    with pytest.raises(InputError, match="no config of a generator"):
        train_generator(tmp_path, output=tmp_path / "out", config=path)


def test_texts_of_another_encoder_are_told(shards, tmp_path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(CONFIG.replace(f"text_width = {WIDTH}", "text_width = 384"))
    with pytest.raises(
        InputError, match=f"tokens of {WIDTH} numbers, the config's text_width is 384"
    ):
        train_generator(shards, output=tmp_path / "out", config=path)


def test_bf16_rounds_the_network_and_not_what_it_is_told(windows) -> None:
    """The linear guess at data is worth nothing of a state that lost its digits."""
    made = ViMoGen(ViMoGenConfig(width=16, hidden=16, blocks=1, heads=2, reference_blocks=1,
                                 text_width=WIDTH, predicts="residual", hints=True))  # fmt: skip
    objective = Objective.of(
        made, Branches(text=0.5, kept=1.0), feet=FootLoss.of(windows.rest, made.spread)
    )
    seen = []
    made.enter.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))

    def loss(network, generator):
        return objective(network, windows.draw(4, generator=generator), generator=generator)

    for precision in ("32-true", "bf16-mixed"):
        trainer = Trainer(made, Schedule(steps=1), fabric=fabric_on("cpu", precision))
        seen.append(float(trainer.step(loss)))
    full, plain, state, mixed = seen
    assert torch.equal(full, state)
    assert mixed == pytest.approx(plain, rel=0.05) and mixed != plain


MORE = """
[[more]]
seed = 5
branches = { kept = 0.5 }
training = { steps = 3 }
"""


def test_a_later_leg_goes_on_from_the_one_before(shards, config, tmp_path) -> None:
    both = tmp_path / "both.toml"
    both.write_text(CONFIG + MORE)
    legs = legs_of(read_generator_settings(both))
    assert [leg["branches"]["kept"] for leg in legs[1:]] == [0.5]
    assert legs[1]["branches"]["text"] == 0.5 and legs[1]["training"]["batch"] == 4
    path = train_generator(shards, output=tmp_path / "two", config=both)
    alone = train_generator(shards, output=tmp_path / "one", config=config)
    assert (tmp_path / "two" / "generator_1.safetensors").read_bytes() == alone.read_bytes()
    assert path.name == "generator.safetensors" and path.read_bytes() != alone.read_bytes()
    log = (tmp_path / "two" / "generator.log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [2, 3]
    # Twice the same, though the first leg was there already.
    before = path.read_bytes()
    assert train_generator(shards, output=tmp_path / "two", config=both).read_bytes() == before


WRONG = (
    "training = { stops = 3 }", "branches = { text = 2.0 }", "training = { steps = 0 }",
    "training = { batch = 0 }", 'stopping = { keep = "bst" }', "stopping = { evry = 3 }",
    'feet = "x"', "feet = -3.0", "feet = nan", "network = { width = 8 }", "learning_rate = 0.1",
)  # fmt: skip


@pytest.mark.parametrize("wrong", [f"[[more]]\nseed = 2\n{w}" for w in WRONG] + [
    "[[more]]\nfeet = 1.0", "[more]\nseed = 2", "[[more]]\nseed = 'a'",
])  # fmt: skip
def test_a_leg_that_cannot_be(tmp_path, wrong) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f"{CONFIG}\n{wrong}\n")
    with pytest.raises(InputError, match="is no config of a generator"):
        read_generator_settings(path)


def test_a_run_killed_in_a_later_leg_ends_with_the_same_bytes(shards, tmp_path) -> None:
    both = tmp_path / "both.toml"
    both.write_text(CONFIG + MORE)
    whole = train_generator(shards, output=tmp_path / "one", config=both)

    class Killed(Exception):
        pass

    def kill(stage: str, share: float) -> None:
        if stage == "generator" and share > 0.9:
            raise Killed

    with pytest.raises(Killed):
        train_generator(shards, output=tmp_path / "two", config=both, progress=kill)
    again = train_generator(shards, output=tmp_path / "two", config=both)
    assert whole.read_bytes() == again.read_bytes()


def test_the_machine_is_found_under_mixed_precision(windows) -> None:
    made = network()
    objective = Objective.of(made, Branches(text=0.5))
    trainer = Trainer(made, Schedule(steps=1), fabric=fabric_on("auto", "bf16-mixed"))
    found = trainer.step(lambda n, g: objective(n, windows.draw(4, generator=g), generator=g))
    assert bool(torch.isfinite(found))


def test_a_device_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UsageError, match="device abacus given; this machine has cpu, auto"):
        fabric_on("abacus", "32-true")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="device cuda given"):
            fabric_on("cuda", "32-true")
    with pytest.raises(InputError, match="precision 'half' cannot be"):
        fabric_on("cpu", "half")
