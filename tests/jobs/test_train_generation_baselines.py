"""The published recipe for motion from text, a small one, trained on made-up shards by the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from humanmotion.cli.main import main
from humanmotion.errors import FileFormatError
from humanmotion.files import read_tensors, write_tensors
from humanmotion.generation.mdm import MDMConfig
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.vimogen import ViMoGen, ViMoGenConfig
from humanmotion.jobs import mdm_training, train_baselines
from humanmotion.jobs.mdm_training import SIZES, load_mdm, sentences
from humanmotion.jobs.train_baselines import GENERATION_CONFIG
from tests.jobs.generator_shards import WIDTH, write_shards

pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("default")

SETTINGS = """
[stopping]
every = 3
patience = 1000
keep = "last"
[mdm]
seeds = [0]
batch = 4
[mdm.training]
steps = 6
warmup = 2
"""


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        tiny = MDMConfig(width=16, hidden=16, layers=1, heads=2, steps=4)
        patch.setattr(mdm_training, "SIZES", tiny)
        patch.setattr(train_baselines, "VAL_BATCHES", 2)
        yield


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


def test_the_command_goes_on_where_it_was(shards, tmp_path, capsys, monkeypatch) -> None:
    config = tmp_path / "c.toml"
    config.write_text(SETTINGS)
    monkeypatch.setattr(train_baselines, "GENERATION_CONFIG", config)
    given = f"--data {shards} --which generation --quiet"
    for folder in ("one", "two"):
        if folder == "two":
            with monkeypatch.context() as broken:
                broken.setattr(train_baselines, "write_baseline", _killed)
                assert (
                    main(["train", "baselines", *given.split(), "-o", str(tmp_path / folder)]) == 1
                )
        assert main(["train", "baselines", *given.split(), "-o", str(tmp_path / folder)]) == 0
    files = [tmp_path / folder / "mdm_0.safetensors" for folder in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert str(files[0]) in capsys.readouterr().out
    network, held = load_mdm(files[0]), read_tensors(files[0])
    assert network.config.text_width == WIDTH and int(held["step"]) == 6
    # Statistics are whole, weights halved.
    assert torch.equal(network.mean, held["mean"]) and held["mean"].dtype == torch.float32
    assert held["network/enter.weight"].dtype == torch.bfloat16


def _killed(*_args, **_kwargs) -> None:
    raise OSError(5, "gone")


def test_another_file_is_told(tmp_path) -> None:
    path = tmp_path / "mdm_0.safetensors"
    write_tensors(path, {"network/enter.weight": torch.zeros(2)})
    with pytest.raises(FileFormatError, match="another network"):
        load_mdm(path)


def test_sentences_are_the_encoders_own() -> None:
    said = MiniLM.load().encode(["a person walks", "someone waves with the left hand slowly"])
    assert torch.allclose(sentences(said.tokens, said.mask), said.sentence, atol=1e-5)


def test_the_shipped_config_is_of_ours_size() -> None:
    from humanmotion.generation.mdm import MDM
    from humanmotion.jobs.train_baselines import _read

    settings = _read(GENERATION_CONFIG)
    assert set(settings) == {"precision", "stopping", "mdm"}
    sizes = [sum(p.numel() for p in n.parameters()) for n in (MDM(SIZES), ViMoGen(ViMoGenConfig()))]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
