"""Training the published recipe for motion from text (MDM) on the windows that ours learns from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.files import read_tensors
from humanmotion.generation.mdm import MDM, MDMConfig, mdm_loss
from humanmotion.jobs.baseline_recipes import Ask, Material, Task
from humanmotion.jobs.generator_data import GeneratorWindows, statistics
from humanmotion.jobs.train_generator import LEAST_SPREAD
from humanmotion.prior.published import Normaliser

SIZES = MDMConfig()
"""About as many parameters as the small preset of ours."""
MOST = 16
"""Windows looked at together on val, where priors look at a thousand poses."""


def mdm_task(material: Material) -> Task:
    """The network, and its loss on shards; `material.data` is a folder that `data build` wrote."""
    body, at = BodyModel.load(), material.device
    train, val = (
        GeneratorWindows.read(material.data, split=split, body=body) for split in ("train", "val")
    )
    mean, spread = statistics(train)
    spread = spread.clamp(min=LEAST_SPREAD)
    network = MDM(MDMConfig(**{**vars(SIZES), "text_width": train.text_width}))
    network.mean.copy_(mean)
    network.spread.copy_(spread)
    scale = mean.to(at), spread.to(at)
    look = _asked(val.to(at), scale)
    return Task(network, _asked(train.to(at), scale),
                lambda network, count, generator: look(network, min(count, MOST), generator),
                Normaliser(mean, spread, torch.ones_like(mean)))  # fmt: skip


def _asked(windows: GeneratorWindows, scale: tuple[Tensor, Tensor]) -> Ask:
    mean, spread = scale

    def ask(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        batch = windows.draw(count, generator=generator)
        asked = batch.mask[..., None] & batch.known[:, None]
        clean = (batch.features - mean) / spread * asked
        sentence = sentences(batch.text, batch.text_mask) * batch.captioned[:, None]
        return mdm_loss(network, clean, asked, sentence=sentence, mask=batch.mask,
                        steps=SIZES.steps, generator=generator)  # fmt: skip

    return ask


def sentences(tokens: Tensor, mask: Tensor) -> Tensor:
    """Unit sentence vectors `(B, d)` of tokens `(B, L, d)`, as the encoder itself makes them."""
    total = (tokens * mask[..., None]).sum(-2)
    return functional.normalize(total / mask.sum(-1, keepdim=True).clamp(min=1), dim=-1)


def load_mdm(path: str | Path) -> MDM:
    """The network that `train baselines` wrote; raises FileFormatError for another file."""
    held = read_tensors(path)
    tensors = {
        k.removeprefix("network/"): v.float() for k, v in held.items() if k.startswith("network/")
    }
    try:
        # Statistics are in the file twice, once to all their digits.
        tensors |= {"mean": held["mean"], "spread": held["deviation"]}
        network = MDM(_sizes(tensors))
        network.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        raise FileFormatError(f"{path} holds weights of another network") from error
    return network.eval().requires_grad_(False)


def _sizes(tensors: dict[str, Tensor]) -> MDMConfig:
    return MDMConfig(**{**vars(SIZES), "text_width": tensors["text.weight"].shape[1]})
