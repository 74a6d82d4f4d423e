"""The files that `train baselines` writes: one for each network, matrices in bfloat16.

A file holds `network/...`, the `mean` and `deviation` of the raw numbers that the network sees as
zero and one, the `step` it was taken at and its `val` loss. The whole-body networks are corrections
of three part networks: their files hold the correction alone, and the parts lie beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_tensors, write_tensors
from humanmotion.prior.baseline_distance import DistanceField
from humanmotion.prior.baseline_vae import PoseVae
from humanmotion.prior.published import Normaliser, PublishedPrior
from humanmotion.prior.published_fixes import CleanTarget, Preconditioned
from humanmotion.prior.published_networks import (
    FusedNetwork,
    PartNetworks,
    PublishedConfig,
    TimeFC,
)

SIZES = PublishedConfig()
PART_FILES = {"body": "dp_0", "hand": "dp_hand_0", "face": "dp_face_0"}
"""Of the networks that are put together to a whole body."""
PUBLISHED_BODIES = ("dp", "dp_clean_target", "dp_preconditioned")
WHITENED = ("vae", "distance")
WHOLE = ("dp_fused", "dp_mixed")
_FROZEN = "parts."


def _part(size: int) -> TimeFC:
    return TimeFC(size, size, width=SIZES.width, clock=SIZES.clock, blocks=SIZES.blocks,
                  dropout=SIZES.dropout)  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "dp": lambda: _part(SIZES.body),
    "dp_clean_target": lambda: CleanTarget(_part(SIZES.body)),
    "dp_preconditioned": lambda: Preconditioned(_part(SIZES.body)),
    "dp_hand": lambda: _part(SIZES.hand),
    "dp_face": lambda: _part(SIZES.face),
    "vae": lambda: PoseVae(SIZES.body),
    "distance": lambda: DistanceField(SIZES.body),
}
"""What needs no other file, untrained."""


@dataclass(frozen=True, eq=False)
class Whitened:
    """The autoencoder or the distance field, as raw rotation vectors see it."""

    network: PoseVae | DistanceField
    normaliser: Normaliser

    def denoise(self, pose: Tensor, rho: float) -> Tensor:
        """Where raw poses `(..., 63)` are pulled to, in the shape of `PublishedPrior.denoise`."""
        state = self.normaliser.to_state(pose)
        return self.normaliser.to_pose(self.network.anchor(state, rho))


def write_baseline(
    path: Path, found: Mapping[str, Tensor], *, normaliser: Normaliser | None
) -> None:
    """Write what `train_network` returned, without the frozen parts of a whole body."""
    kept = {k: _small(k, v) for k, v in found.items() if not k.startswith(f"network/{_FROZEN}")}
    if normaliser is not None:
        kept |= {"mean": normaliser.mean, "deviation": normaliser.deviation}
    write_tensors(path, kept)


def _small(name: str, value: Tensor) -> Tensor:
    halved = name.startswith("network/") and value.is_floating_point()
    return value.to(torch.bfloat16) if halved else value


def finished(weights: Path) -> Iterator[tuple[str, int, Path]]:
    """Name, seed and path of every prior whose training has ended, sorted by path."""
    for path in sorted(weights.glob("*.safetensors")):
        name, _, seed = path.stem.rpartition("_")
        if seed.isdigit() and (name in NETWORKS or name in WHOLE):
            yield name, int(seed), path


def read_published(path: Path) -> PublishedPrior:
    """A body's, a hand's or a face's network; raises FileFormatError for another file."""
    return PublishedPrior(*_read(path))


def read_whitened(path: Path) -> Whitened:
    """The autoencoder or the distance field; raises FileFormatError for another file."""
    network, normaliser = _read(path)
    return Whitened(network.eval(), normaliser)  # type: ignore[arg-type]


def read_whole(weights: Path, name: str | None = None, *, seed: int = 0) -> PublishedPrior:
    """The part networks side by side (the "base"), or with the correction `name`, one of WHOLE.

    Raises InputError where a file is not there, FileFormatError where one is of something else.
    """
    parts, normaliser = read_parts(weights)
    if name is None:
        return PublishedPrior(parts.requires_grad_(False), normaliser)
    fused, path = FusedNetwork(parts), weights / f"{name}_{seed}.safetensors"
    frozen = {f"{_FROZEN}{k}": v for k, v in parts.state_dict().items()}
    _load(fused, _network(path) | frozen, path)
    return PublishedPrior(fused.requires_grad_(False), normaliser)


def read_parts(weights: Path) -> tuple[PartNetworks, Normaliser]:
    """The part networks side by side, and the numbers of a whole body; raises as `read_whole`."""
    networks, normalisers = PartNetworks(SIZES), {}
    for part, stem in PART_FILES.items():
        path = weights / f"{stem}.safetensors"
        if not path.exists():
            raise InputError(f"{weights} holds no {path.name}; train {stem[:-2]} first")
        _load(getattr(networks, part), _network(path), path)
        normalisers[part] = _normaliser(path)
    return networks, Normaliser.whole_body(**normalisers)


def _read(path: Path) -> tuple[nn.Module, Normaliser]:
    network = NETWORKS[path.stem.rpartition("_")[0]]()
    _load(network, _network(path), path)
    return network.requires_grad_(False), _normaliser(path)


def _network(path: Path) -> dict[str, Tensor]:
    held = read_tensors(path)
    return {k.removeprefix("network/"): v for k, v in held.items() if k.startswith("network/")}


def _normaliser(path: Path) -> Normaliser:
    held = read_tensors(path)
    if not {"mean", "deviation"} <= set(held):
        raise FileFormatError(f"{path} holds no mean and deviation")
    return Normaliser(held["mean"], held["deviation"], torch.ones_like(held["mean"]))


def _load(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileFormatError(f"{path} holds weights of another network") from error
