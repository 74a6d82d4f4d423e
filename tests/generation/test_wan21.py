"""The loader on the meta device, with the names and shapes of the published file."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import FileFormatError
from humanmotion.generation.vimogen import PRESETS, ViMoGen
from humanmotion.generation.wan21 import load_wan21, our_name

WIDTH, HIDDEN, BLOCKS = 1536, 8960, 30


def published() -> dict[str, torch.Tensor]:
    """Names and shapes of Wan2.1-T2V-1.3B's diffusion_pytorch_model.safetensors, 825 tensors."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, out: int, into: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, into), (out,)

    shapes["patch_embedding.weight"], shapes["patch_embedding.bias"] = (
        (WIDTH, 16, 1, 2, 2),
        (WIDTH,),
    )
    linear("text_embedding.0", WIDTH, 4096)
    linear("text_embedding.2", WIDTH, WIDTH)
    linear("time_embedding.0", WIDTH, 256)
    linear("time_embedding.2", WIDTH, WIDTH)
    linear("time_projection.1", 6 * WIDTH, WIDTH)
    for i in range(BLOCKS):
        block = f"blocks.{i}"
        shapes[f"{block}.modulation"] = (1, 6, WIDTH)
        for attention in ("self_attn", "cross_attn"):
            for part in "qkvo":
                linear(f"{block}.{attention}.{part}", WIDTH, WIDTH)
            for part in "qk":
                shapes[f"{block}.{attention}.norm_{part}.weight"] = (WIDTH,)
        shapes[f"{block}.norm3.weight"] = shapes[f"{block}.norm3.bias"] = (WIDTH,)
        linear(f"{block}.ffn.0", HIDDEN, WIDTH)
        linear(f"{block}.ffn.2", WIDTH, HIDDEN)
    shapes["head.modulation"] = (1, 2, WIDTH)
    linear("head.head", 64, WIDTH)
    return {name: torch.zeros(shape, device="meta") for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def network() -> ViMoGen:
    with torch.device("meta"):
        return ViMoGen(PRESETS["paper"])


def test_everything_but_the_ends_is_taken_over(network) -> None:
    tensors = published()
    assert len(tensors) == 825
    taken = load_wan21(network, tensors)
    assert taken.left == [
        "head.head.bias", "head.head.weight", "patch_embedding.bias", "patch_embedding.weight"
    ]  # fmt: skip
    assert len(taken.mapped) == 821
    ours = network.state_dict()
    # Every block's own tensors are loaded, but for the cross-attention to a reference.
    for i in range(BLOCKS):
        new = [n for n in taken.new if n.startswith(f"blocks.{i}.")]
        assert new and all(n.split(".")[2] in ("reference", "norm_reference") for n in new)
    assert ours.keys() == {*taken.mapped, *taken.new}
    share = sum(ours[n].numel() for n in taken.mapped) / sum(v.numel() for v in ours.values())
    # "About two thirds of the parameters are shared".
    assert 0.6 < share < 0.75


def test_values_arrive_where_they_belong() -> None:
    """A small network of the same build, with real numbers."""
    from dataclasses import replace

    small = ViMoGen(replace(PRESETS["tiny"], text_width=24, null_tokens=3))
    theirs = {
        "blocks.1.self_attn.q.weight": "blocks.1.body.attention.q.weight",
        "blocks.3.ffn.2.bias": "blocks.3.body.feed.2.bias",
        "blocks.0.cross_attn.norm_k.weight": "blocks.0.text.norm_k.weight",
        "time_projection.1.weight": "time.spread.1.weight",
        "text_embedding.0.bias": "enter_text.0.bias",
    }
    names = {our_name(n): n for n in published()}
    generator = torch.Generator().manual_seed(0)
    tensors = {
        names[ours]: torch.randn(value.shape, generator=generator)
        for ours, value in small.state_dict().items()
        if ours in names
    }
    load_wan21(small, tensors)
    for their, ours in theirs.items():
        assert torch.equal(small.state_dict()[ours], tensors[their])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.0.attn1.to_q.weight": (WIDTH, WIDTH)}, "is no tensor of Wan2.1"),
        ({"blocks.30.modulation": (1, 6, WIDTH)}, "is no tensor of Wan2.1"),
        ({"blocks.0.modulation": (1, 6, 5120)}, "build it with the paper preset"),
        ({"time_projection.1.bias": None}, "lack 1 tensors, first time.spread.1.bias"),
    ],
)
def test_other_files(network, change, message) -> None:
    tensors = published()
    for name, shape in change.items():
        if shape is None:
            del tensors[name]
        else:
            tensors[name] = torch.zeros(shape, device="meta")
    with pytest.raises(FileFormatError, match=message):
        load_wan21(network, tensors)
