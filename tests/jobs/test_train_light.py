"""Training a light student: its pairs, where it starts from, and that few steps follow the teacher."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanmotion.diffusion.flow import Flow
from humanmotion.diffusion.noise import Noise
from humanmotion.errors import InputError
from humanmotion.files import read_json, read_tensors, write_json, write_tensors
from humanmotion.generation.sampler import TextToMotion, load_generator, load_sampling
from humanmotion.generation.sampling import Sampling, noise_of, sampled
from humanmotion.generation.text import TextTokens
from humanmotion.generation.vimogen import PRESETS, Condition, ViMoGen, ViMoGenConfig
from humanmotion.jobs import train_light as job
from humanmotion.jobs.light_pairs import LightPairs, PairSettings, make_pairs, split_pairs
from humanmotion.jobs.train_light import (
    CONFIG,
    ON_GRID,
    levels_of,
    read_light_settings,
    train_light,
    untrained,
)
from tests.jobs.generator_shards import WIDTH, write_shards

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

SETTINGS = f"""
seed = 1
[pairs]
count = 14
seconds = [0.5, 1.0]
batch = 4
steps = 3
guidance = 2.0
real = 0.3
[stopping]
every = 2
patience = 100
[network]
width = 16
hidden = 16
blocks = 2
heads = 2
reference_blocks = 0
text_width = {WIDTH}
[sampling]
steps = 2
guidance = 1.0
start = 1.0
[training]
steps = 6
batch = 4
warmup = 2
"""


class Words:
    """An encoder of the shards' width: a token a word, drawn from its letters."""

    width = WIDTH

    def encode(self, prompts):
        words = [p.split() or [""] for p in prompts]
        longest = max(map(len, words))
        tokens = torch.zeros(len(words), longest, WIDTH)
        for i, own in enumerate(words):
            for k, word in enumerate(own):
                seed = sum(31**n * ord(c) for n, c in enumerate(word)) % 2**31
                draw = torch.Generator().manual_seed(seed)
                tokens[i, k] = torch.randn(WIDTH, generator=draw)
        mask = torch.arange(longest) < torch.tensor([[len(w)] for w in words])
        return TextTokens(tokens, mask, torch.nn.functional.normalize(tokens.sum(1), dim=-1))


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "light.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = ViMoGen(ViMoGenConfig(
        width=16, hidden=16, blocks=4, heads=2, reference_blocks=1, text_width=WIDTH
    ))  # fmt: skip
    torch.nn.init.normal_(network.head.head.weight, std=0.2)
    path = tmp_path_factory.mktemp("teacher") / "generator.safetensors"
    write_tensors(path, network.state_dict())
    write_json(path.with_suffix(".json"), vars(network.config))
    return path


@pytest.fixture(scope="module")
def trained(shards, teacher, config, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("light")
    return train_light(shards, teacher=teacher, output=out, config=config, encoder=Words())


@pytest.fixture(scope="module")
def pairs(trained) -> list[Path]:
    return sorted((trained.parent / "pairs").glob("*.safetensors"))


class TestPairs:
    def test_are_the_teachers_own_from_their_noise(self, pairs, teacher):
        assert len(pairs) == 3
        network, words = load_generator(teacher), Words()
        for number, path in enumerate(pairs):
            held = read_tensors(path)
            frames = (11, 21)[number % 2]
            assert held["clean"].shape == (4, frames, 276) and held["clean"].dtype == torch.float16
            no = torch.zeros(4, dtype=torch.bool)
            condition = Condition(held["tokens"].float(), held["mask"], no, no)
            noise = noise_of(Noise(), held["seeds"].tolist(), [frames] * 4)
            own = Sampling(steps=3, guidance=2.0, start=1.0)
            made = sampled(network, condition, noise, sampling=own)
            assert torch.allclose(made, held["clean"].float(), atol=5e-3)
        assert words.width == WIDTH

    def test_are_drawn_with_that_noise_and_their_text(self, pairs):
        read = LightPairs.read(pairs, noise=Noise())
        drawn = read.draw(40, generator=torch.Generator().manual_seed(0))
        files = [read_tensors(path) for path in pairs]
        for clean, noise, text in zip(drawn.clean, drawn.noise, drawn.condition.text, strict=True):
            place = [
                (f, i) for f in files for i in range(4)
                if f["clean"].shape[1] == len(clean) and torch.equal(f["clean"][i].float(), clean)
            ]  # fmt: skip
            ((held, i),) = place
            own = noise_of(Noise(), held["seeds"][i : i + 1].tolist(), [len(clean)])[0]
            assert torch.allclose(noise, own, atol=2e-3)
            words = int(held["mask"][i].sum())
            assert torch.equal(text[:words], held["tokens"][i, :words].float())

    def test_some_are_held_out(self, pairs):
        train, val = split_pairs(pairs, noise=Noise(), device="cpu")
        counts = [sum(len(x.clean) for x in part.lengths) for part in (train, val)]
        assert counts == [8, 4]

    def test_an_interrupted_run_makes_the_rest(self, pairs, teacher, tmp_path):
        """And not again what is there."""
        settings = PairSettings(count=14, seconds=(0.5, 1.0), batch=4, steps=3, guidance=2.0)
        prompts = ["turns"] * 14
        seen: list[float] = []
        call = {"settings": settings, "encoder": Words(), "seed": 1,
                    "progress": lambda stage, share: seen.append(share)}  # fmt: skip
        first = make_pairs(tmp_path, load_generator(teacher), prompts, **call)
        before = [p.read_bytes() for p in first]
        first[1].unlink()
        first[0].write_bytes(before[0] + b"")
        stamp = first[0].stat().st_mtime_ns
        again = make_pairs(tmp_path, load_generator(teacher), prompts, **call)
        assert [p.read_bytes() for p in again] == before
        assert again[0].stat().st_mtime_ns == stamp and seen[-1] == 1.0

    @pytest.mark.parametrize("wrong", [{"count": 7}, {"seconds": ()}, {"seconds": (11.0,)},
                                       {"real": 1.0}])  # fmt: skip
    def test_that_cannot_be(self, wrong):
        given = {"count": 8, "seconds": (1.0,), "batch": 4, "steps": 3, "guidance": 2.0}
        with pytest.raises(ValueError, match=r"pairs need|seconds must"):
            PairSettings(**given | wrong)


class TestStudent:
    def test_starts_from_the_teachers_blocks(self, config, teacher):
        full = load_generator(teacher)
        student = untrained(read_light_settings(config), full, where=teacher)
        assert not student.config.refers
        own, known = student.state_dict(), full.state_dict()
        for name in ("body.attention.q.weight", "text.k.weight", "body.feed.0.bias"):
            assert torch.equal(own[f"blocks.0.{name}"], known[f"blocks.0.{name}"])
            assert torch.equal(own[f"blocks.1.{name}"], known[f"blocks.3.{name}"])
        assert torch.equal(own["head.head.weight"], known["head.head.weight"])
        assert torch.equal(own["mean"], known["mean"])

    def test_of_as_many_blocks_says_what_the_teacher_says(self, config, teacher):
        full = load_generator(teacher)
        settings = read_light_settings(config)
        settings["network"]["blocks"] = 4
        student = untrained(settings, full, where=teacher).eval()
        no = torch.zeros(2, dtype=torch.bool)
        said = Words().encode(["turns", "waves twice"])
        parts = {"text": said.tokens, "text_mask": said.mask, "dropped": no, "referring": no}
        state, time = torch.randn(2, 9, 276), torch.full((2,), 400.0)
        with torch.no_grad():
            assert torch.allclose(
                student(state, time, **parts), full(state, time, **parts), atol=1e-6
            )

    def test_of_another_width_starts_anew_but_knows_the_statistics(self, config, teacher):
        full = load_generator(teacher)
        full.mean.add_(1)
        settings = read_light_settings(config)
        settings["network"]["width"] = 24
        student = untrained(settings, full, where=teacher)
        assert torch.equal(student.mean, full.mean)

    def test_other_texts_are_told(self, config, teacher):
        settings = read_light_settings(config)
        settings["network"]["text_width"] = 384
        with pytest.raises(InputError, match="set them alike"):
            untrained(settings, load_generator(teacher), where=teacher)


def test_levels_are_the_samplers_own_or_any() -> None:
    flow, drawn = Flow(2.0), Sampling(steps=4, guidance=1.0, start=1.0)
    levels = levels_of(flow, drawn, 4000, generator=torch.Generator().manual_seed(0))
    grid = torch.tensor(flow.levels(4, start=1.0)[:-1])
    own = torch.isclose(levels[:, None], grid, atol=1e-6)
    assert float(own.any(-1).float().mean()) == pytest.approx(ON_GRID, abs=0.03)
    shares = own.float().mean(0)
    assert float(shares.max() - shares.min()) < 0.04
    assert float(levels.min()) > 0 and float(levels.max()) <= 1


def test_the_weights_tell_how_they_are_drawn_from(trained, shards, teacher) -> None:
    assert trained.name == "light.safetensors"
    assert read_json(trained.with_suffix(".json"))["sampling"]["steps"] == 2
    assert load_sampling(trained) == Sampling(steps=2, guidance=1.0, start=1.0)
    make = TextToMotion.from_pretrained(trained, encoder=Words())
    (motion,) = make("turns", seconds=1.0)
    assert len(motion) == 30
    by_hand = make("turns", seconds=1.0, steps=2, guidance=1.0)[0]
    assert torch.equal(motion.rotvec, by_hand.rotvec)
    assert read_tensors(trained)["enter.weight"].dtype == torch.bfloat16
    assert not any("reference" in name for name in read_tensors(trained))
    assert load_sampling(teacher) == Sampling()


def test_a_killed_run_ends_with_the_same_bytes(trained, shards, teacher, config, tmp_path) -> None:
    class Killed(Exception):
        pass

    def kill(at: str):
        def progress(stage: str, share: float) -> None:
            if stage == at and share > 0.5:
                raise Killed

        return progress

    call = {"teacher": teacher, "output": tmp_path, "config": config, "encoder": Words()}
    for stage in ("pairs", "light"):
        with pytest.raises(Killed):
            train_light(shards, **call, progress=kill(stage))
    again = train_light(shards, **call)
    assert again.read_bytes() == trained.read_bytes()


def test_another_teacher_is_another_run(trained, shards, config, teacher, tmp_path) -> None:
    other = tmp_path / "other.safetensors"
    tensors = read_tensors(teacher)
    write_tensors(other, tensors | {"mean": tensors["mean"] + 1})
    other.with_suffix(".json").write_text(teacher.with_suffix(".json").read_text())
    with pytest.raises(InputError, match="run of another config"):
        train_light(shards, teacher=other, output=trained.parent, config=config, encoder=Words())


def test_few_steps_come_to_follow_the_teacher(shards, teacher, tmp_path) -> None:
    """A student that starts anew lies nearer and nearer to what the teacher makes of noise not seen."""
    path, text = tmp_path / "long.toml", SETTINGS
    for old, new in (
        ("count = 14", "count = 96"), ("batch = 4\nsteps = 3", "batch = 16\nsteps = 3"),
        ("seconds = [0.5, 1.0]", "seconds = [0.5]"), ("real = 0.3", "real = 0.0"),
        ("every = 2", "every = 25"), ("width = 16", "width = 32"),
        ("steps = 6\nbatch = 4", "steps = 150\nlearning_rate = 5e-3\nema = 0.9\nbatch = 16"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    out = train_light(shards, teacher=teacher, output=tmp_path / "o", config=path, encoder=Words())
    lines = (out.parent / "light.log.jsonl").read_text().splitlines()
    values = [json.loads(line)["val"] for line in lines]
    assert len(values) == 6 and values[-1] < 0.7 * values[0], values


@pytest.mark.parametrize(
    "broken", ["steps = 3", "count = 14", "start = 1.0", "reference_blocks = 0", "width = 16"]
)
def test_a_config_without_what_it_needs_is_refused(tmp_path, broken: str, shards, teacher) -> None:
    path = tmp_path / "bad.toml"
    wrong = {"start = 1.0": "start = 7.0", "reference_blocks = 0": "reference_blocks = 1"}
    path.write_text(SETTINGS.replace(broken, wrong.get(broken, "nonsense = 1")))
    with pytest.raises(InputError, match="no config of a light student"):
        train_light(shards, teacher=teacher, output=tmp_path / "out", config=path)


def test_the_shipped_config_is_small_enough() -> None:
    """Six MiB in bfloat16, as wide as the shipped teacher, so that it can start from its blocks."""
    settings = read_light_settings(CONFIG)
    sizes = ViMoGenConfig(**settings["network"])
    count = sum(p.numel() for p in ViMoGen(sizes).parameters())
    assert 2 * count < 6 * 2**20
    small = PRESETS["small"]
    assert replace(sizes, blocks=small.blocks, reference_blocks=small.reference_blocks,
                   shift=small.shift, hints=small.hints) == small  # fmt: skip


def test_real_clips_are_looked_at_at_their_rate(trained, shards, config, monkeypatch) -> None:
    from humanmotion.body import BodyModel
    from humanmotion.jobs.generator_data import GeneratorWindows

    pairs = LightPairs.read(sorted((trained.parent / "pairs").glob("*.safetensors")), noise=Noise())
    student = load_generator(trained)
    windows = GeneratorWindows.read(shards, split="train", body=BodyModel.load())
    seen = []
    monkeypatch.setattr(LightPairs, "draw", _noted(LightPairs.draw, seen))
    loss = job._loss(pairs, student, Sampling(steps=2), windows=windows, real=0.3)
    for seed in range(60):
        loss(student, 1, torch.Generator().manual_seed(seed))
    assert len(seen) / 60 == pytest.approx(0.7, abs=0.15)


def _noted(call, seen):
    def draw(self, count, *, generator):
        seen.append(count)
        return call(self, count, generator=generator)

    return draw
