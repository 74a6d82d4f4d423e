"""What each baseline is: its network, what it learns from and what it is asked.

The published prior (DPoser-X): part networks of bodies, hands and faces; *fused*, a correction on top
of them learnt from whole bodies; *mixed*, the same learnt from parts alone too. And *humanmm*, the
published modules for motion in several shots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from humanmotion.errors import InputError
from humanmotion.jobs.baseline_data import Parts, parts
from humanmotion.jobs.baseline_weights import NETWORKS, read_parts
from humanmotion.jobs.humanmm_training import humanmm_loss
from humanmotion.jobs.motion_corpus import MotionCorpus
from humanmotion.jobs.prior_data import distinct, read_poses
from humanmotion.prior.baseline_distance import distance_loss
from humanmotion.prior.baseline_vae import vae_loss
from humanmotion.prior.published import Normaliser, mixed_loss, noise_loss
from humanmotion.prior.published_fixes import clean_loss, preconditioned_loss
from humanmotion.prior.published_networks import PARTS, FusedNetwork, PublishedConfig
from humanmotion.recovery.humanmm import HumanMM

Loss = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
"""From the network, a batch of states `(B, D)` and randomness on the same device."""
Ask = Callable[[nn.Module, int, torch.Generator], Tensor]
"""The loss of a network on so many poses."""
BANK = 10_000
"""Training poses that stand for the data in the distance field's distances."""
SHARES = (0.65, 0.14, 0.08, 0.08, 0.05)
"""Of whole bodies, then of each part alone, in mixed training: the paper's, with its pairs of hands
counted as single ones, which the sampler makes."""
POSES = 32
"""Fewer windows are looked at on val than poses are."""
PRESENT = torch.cat((torch.ones(1, len(PARTS)), torch.eye(len(PARTS)))).bool()
"""The parts that are there in each kind of sample."""


@dataclass(frozen=True)
class Task:
    """One network to be trained."""

    network: nn.Module
    train: Ask
    val: Ask
    normaliser: Normaliser | None
    """What its states are counted in, where the file must tell it."""


@dataclass(frozen=True)
class Material:
    """Data, what is trained already, and where the numbers are wanted."""

    data: Path
    weights: Path
    device: torch.device

    @cached_property
    def train(self) -> Parts:
        """The train split."""
        return self._read("train", seed=0)

    @cached_property
    def val(self) -> Parts:
        """The val split."""
        return self._read("val", seed=1)

    def _read(self, split: str, *, seed: int) -> Parts:
        poses = read_poses(self.data, split=split)
        return parts(poses[distinct(poses)], seed=seed)


def asked(loss: Loss, states: Tensor) -> Ask:
    """`loss` on random ones of `states` `(N, D)`."""

    def ask(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        return loss(network, _some(states, count, generator), generator)

    return ask


def _some(states: Tensor, count: int, generator: torch.Generator) -> Tensor:
    rows = torch.randint(len(states), (count,), generator=generator, device=generator.device)
    return states[rows]


def _part(name: str, loss: Loss, of: Callable[[Parts], Tensor]) -> Callable[[Material], Task]:
    """A network of one part of the body."""

    def task(material: Material) -> Task:
        train, val = of(material.train), of(material.val)
        normaliser = Normaliser.fit(train)
        on = [asked(loss, normaliser.to_state(x).to(material.device)) for x in (train, val)]
        return Task(NETWORKS[name](), on[0], on[1], normaliser)

    return task


def _bodies(found: Parts) -> Tensor:
    return found.bodies


def _vae(material: Material) -> Task:
    radians = Normaliser.fit(material.train.bodies).deviation.to(material.device)
    return _part("vae", partial(vae_loss, radians=radians), _bodies)(material)


def _distance(material: Material) -> Task:
    normaliser = Normaliser.fit(material.train.bodies)
    train, val = (normaliser.to_state(x.bodies) for x in (material.train, material.val))
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    known = train[order[:BANK]].to(material.device)
    loss = partial(distance_loss, known=known)
    return Task(NETWORKS["distance"](), asked(loss, known), asked(loss, val.to(material.device)),
                normaliser)  # fmt: skip


def _fused(material: Material) -> Task:
    networks, normaliser = read_parts(material.weights)
    states = [normaliser.to_state(x.whole) for x in (material.train, material.val)]
    on = [asked(noise_loss, x.to(material.device)) for x in states]
    return Task(FusedNetwork(networks), on[0], on[1], None)


def _mixed(material: Material) -> Task:
    networks, normaliser = read_parts(material.weights)
    on = [asked_mixed(x, normaliser, networks.config, device=material.device)
          for x in (material.train, material.val)]  # fmt: skip
    return Task(FusedNetwork(networks), on[0], on[1], None)


def _humanmm(material: Material) -> Task:
    train, val = (
        MotionCorpus.read(material.data, split=split).to(material.device)
        for split in ("train", "val")
    )

    def look(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        return humanmm_loss(network, count // POSES, generator, corpus=val)

    return Task(HumanMM(), partial(humanmm_loss, corpus=train), look, None)


def asked_mixed(
    found: Parts, normaliser: Normaliser, config: PublishedConfig, *, device: torch.device
) -> Ask:
    """The mixed loss on whole bodies and on parts alone, by SHARES.

    Raises InputError where every pose has fingers.
    """
    if not len(found.bare):
        raise InputError("every pose has a hand; give motion without fingers too, such as cmu")
    whole = normaliser.to_state(found.whole).to(device)
    body, _, hand, face = _by_part(normaliser, config)
    hands = hand.to_state(found.made_up_hands).to(device)
    parts_alone = (body.to_state(found.bare).to(device), hands, hands,
                   face.to_state(found.faces).to(device))  # fmt: skip

    def ask(network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        shares = torch.tensor(SHARES, device=generator.device)
        kind = shares.multinomial(count, replacement=True, generator=generator)
        alone = torch.cat([_some(part, count, generator) for part in parts_alone], -1)
        batch = torch.where((kind == 0)[:, None], _some(whole, count, generator), alone)
        present = PRESENT.to(device)[kind]
        return mixed_loss(network, batch, generator, present=present, config=config)

    return ask


def _by_part(normaliser: Normaliser, config: PublishedConfig) -> list[Normaliser]:
    each = (x.split(config.sizes) for x in (normaliser.mean, normaliser.deviation, normaliser.sign))
    return [Normaliser(*part) for part in zip(*each, strict=True)]


RECIPES: dict[str, Callable[[Material], Task]] = {
    "dp": _part("dp", noise_loss, _bodies),
    "dp_clean_target": _part("dp_clean_target", clean_loss, _bodies),
    "dp_preconditioned": _part("dp_preconditioned", preconditioned_loss, _bodies),
    "vae": _vae,
    "distance": _distance,
    "dp_hand": _part("dp_hand", noise_loss, lambda found: found.hands),
    "dp_face": _part("dp_face", noise_loss, lambda found: found.faces),
    "dp_fused": _fused,
    "dp_mixed": _mixed,
    "humanmm": _humanmm,
}
"""In the order of training: the mixed and the fused take the parts that are there by then."""
