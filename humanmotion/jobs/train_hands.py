"""`humanmotion train hands`: shards with hands in, weights out; resumable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from humanmotion.body import BodyModel
from humanmotion.diffusion.flow import Flow, flow_loss, noised
from humanmotion.errors import InputError
from humanmotion.files import sha256, writable_folder
from humanmotion.generation.hand_flow import HandFlow, HandsConfig, hand_noise
from humanmotion.jobs.early_stopping import fabric_on
from humanmotion.jobs.generator_data import statistics
from humanmotion.jobs.hand_shards import FILE
from humanmotion.jobs.hands_data import HandBatch, HandWindows
from humanmotion.jobs.network_run import Draws, check_same_run, read_settings, train_in
from humanmotion.jobs.stages import Progress, silent

CONFIG = Path(__file__).with_name("hands.toml")
LEAST_SPREAD = 0.02
"""Numbers that change by about a degree or less are not blown up further."""
BODY_LEAST_SPREAD = 1e-4


def train_hands(
    data: str | Path,
    *,
    output: str | Path,
    config: str | Path = CONFIG,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Train the network of hands on the train split of the shards in `data`; returns the weights' path.

    Raises InputError for data or a config that cannot be used, MissingExtraError without the `train`
    extra. Run again after an interruption, it goes on where it was.
    """
    settings = read_hands_settings(config)
    fabric = fabric_on(device, settings["precision"])
    folder, body = writable_folder(output), BodyModel.load()
    train, val = (HandWindows.read(data, split=s, body=body) for s in ("train", "val"))
    known = {
        name: sha256(Path(data) / name) for name in ("index.jsonl", "features.safetensors", FILE)
    }
    check_same_run(folder / "hands.run.json", settings | {"data": known})
    network = untrained_hands(settings, train, where=data)
    objective = HandObjective.of(network, settings["dropped"]).to(fabric.device)
    return train_in(
        folder, "hands", network, settings=settings, fabric=fabric, progress=progress,
        losses=(_loss(train.to(fabric.device), objective), _loss(val.to(fabric.device), objective)),
    )  # fmt: skip


def read_hands_settings(path: str | Path) -> dict[str, Any]:
    """A training config; raises InputError when it is none of hands."""
    settings = read_settings(path, HandsConfig, what="network of hands")
    dropped = settings.get("dropped")
    if not isinstance(dropped, int | float) or not 0 <= dropped <= 1:
        raise InputError(
            f"{path} is no config of a network of hands: dropped is {dropped}, give the share of "
            "samples whose text is not known, in [0, 1]"
        )
    return settings


def untrained_hands(settings: dict[str, Any], train: HandWindows, *, where: str | Path) -> HandFlow:
    """The network of a config, which knows the statistics of what it is to be trained on."""
    torch.manual_seed(settings["seed"])
    network = HandFlow(HandsConfig(**settings["network"]))
    width = train.windows.text_width
    if width != network.config.text_width:
        raise InputError(
            f"{where} has text tokens of {width} numbers, the config's text_width is "
            f"{network.config.text_width}; set it to that"
        )
    for name, least, (mean, spread) in (
        ("", LEAST_SPREAD, train.statistics()),
        ("body_", BODY_LEAST_SPREAD, statistics(train.windows)),
    ):
        network.get_buffer(f"{name}mean").copy_(mean)
        network.get_buffer(f"{name}spread").copy_(spread.clamp(min=least))
    return network


def _loss(windows: HandWindows, objective: HandObjective) -> Draws:
    def loss(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        batch = windows.draw(count, generator=generator)
        return objective(network, batch, generator=generator)

    return loss


@dataclass(frozen=True)
class HandObjective:
    """Flow matching on hands, given the body as it is."""

    flow: Flow
    dropped: float
    """Share of samples whose text is not known."""
    mean: Tensor
    """`(186)`."""
    spread: Tensor
    """`(186)`."""
    body_mean: Tensor
    """`(276)`."""
    body_spread: Tensor
    """`(276)`."""

    @classmethod
    def of(cls, network: HandFlow, dropped: float) -> HandObjective:
        """Of a network's noise levels and statistics."""
        held = (network.mean, network.spread, network.body_mean, network.body_spread)
        return cls(network.config.flow, dropped, *(x.clone() for x in held))

    def to(self, device: torch.device | str) -> HandObjective:
        """The same on `device`."""
        held = (self.mean, self.spread, self.body_mean, self.body_spread)
        return HandObjective(self.flow, self.dropped, *(x.to(device) for x in held))

    def __call__(
        self, network: nn.Module, batch: HandBatch, *, generator: torch.Generator
    ) -> Tensor:
        """A scalar; what a source did not record is asked for nowhere, and shown as the mean."""
        at, body, count = generator.device, batch.body, len(batch.hands)
        there = body.mask[..., None] & body.known[:, None]
        seen = (body.features - self.body_mean) / self.body_spread * there
        clean = torch.where(batch.asked, (batch.hands - self.mean) / self.spread, 0.0)
        unknown = torch.rand(count, generator=generator, device=at) < self.dropped
        sigma, _ = self.flow.draw(count, generator=generator)
        noise = hand_noise(count, clean.shape[1], generator=generator)
        said = network(
            noised(clean, noise, sigma=sigma), self.flow.time(sigma), body=seen, mask=body.mask,
            text=body.text, text_mask=body.text_mask & ~(unknown | ~body.captioned)[:, None],
        )  # fmt: skip
        return flow_loss(said, noise - clean, weight=torch.ones_like(sigma), mask=batch.asked)
