"""Motion from text: prompts in, motions out.

    >>> make = TextToMotion.from_pretrained("weights/generator.safetensors")
    >>> (walk,) = make("a person walks in a circle", seconds=5, seed=3)

The network, the text encoder and the sampler are separate; this alone knows all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.diffusion.weights import load_network
from humanmotion.errors import UsageError
from humanmotion.generation.features import FPS, features_of, motion_of
from humanmotion.generation.hand_flow import HandMaker
from humanmotion.generation.hands import with_hands
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.sampling import (
    DEFAULT,
    Sampling,
    Solver,
    check_seed,
    noise_of,
    sampled,
    smoothed,
)
from humanmotion.generation.text import TextEncoder, checked_prompt
from humanmotion.generation.vimogen import REFERENCE, Condition, ViMoGen, ViMoGenConfig
from humanmotion.motion import Motion

FILE_FPS = 30.0
SHORTEST, LONGEST = 0.5, 10.0
"""Seconds; the network was trained on windows of at most ten."""
MOST_SAMPLES = 1000
BATCH = 16
"""Samples that go through the network at once."""


@dataclass(frozen=True)
class TextToMotion:
    """A trained network with what it needs to answer prompts."""

    network: ViMoGen
    encoder: TextEncoder
    body: BodyModel
    hands: HandMaker | None = None
    """What gives motions fingers and a jaw that move; without it they are at rest, and absent."""

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        encoder: TextEncoder | None = None,
        body: BodyModel | None = None,
        device: torch.device | str = "cpu",
    ) -> TextToMotion:
        """From weights with their `.json` beside them, as `train generator` writes them.

        Without an encoder the embedded one is taken, without a body the default one. Hands are those
        of `hands.safetensors` beside the weights, else the shipped ones. Raises FileFormatError for
        other weights, UsageError for an encoder of other tokens.
        """
        network = load_generator(path).to(device)
        encoder = MiniLM.load() if encoder is None else encoder
        if encoder.width != network.config.text_width:
            raise UsageError(
                f"the encoder gives tokens of {encoder.width} numbers, {path} was trained on "
                f"{network.config.text_width}; give the encoder it was trained with"
            )
        body = BodyModel.load() if body is None else body
        hands = HandMaker.beside(path, body, device=device)
        return cls(network, encoder, body, hands)

    def __call__(
        self,
        prompts: str | Sequence[str],
        *,
        seconds: float | Sequence[float] = 5.0,
        num: int = 1,
        seed: int = 0,
        steps: int = DEFAULT.steps,
        guidance: float = DEFAULT.guidance,
        solver: Solver = DEFAULT.solver,
    ) -> list[Motion]:
        """`num` motions at 30 fps for each prompt, one prompt after the other.

        `seconds` is one length or one for each prompt. The same seed gives the same motions, and the
        first prompt's are the same whatever follows. Each starts over the origin, facing y, on a
        floor at 0. Raises UsageError for prompts, lengths, counts, seeds or a `Sampling` that cannot
        be.
        """
        sampling = Sampling(steps=steps, guidance=guidance, solver=solver)
        check_seed(seed)
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        lengths = _lengths(seconds, len(texts))
        if not 1 <= num * len(texts) <= MOST_SAMPLES or num < 1:
            raise UsageError(
                f"{num} motions for each of {len(texts)} prompts asked for; "
                f"give 1 to {MOST_SAMPLES} in all"
            )
        wanted = [
            _Wanted(*checked_prompt(text), length, seed=seed * MOST_SAMPLES + i * num + k)
            for i, (text, length) in enumerate(zip(texts, lengths, strict=True))
            for k in range(num)
        ]
        found: list[Motion] = []
        for at in range(0, len(wanted), BATCH):
            found += self._made(wanted[at : at + BATCH], sampling)
        return found

    def refine(self, motion: Motion, *, seed: int = 0, steps: int = DEFAULT.steps) -> Motion:
        """A motion like `motion`, at 30 fps, as the reference-motion branch makes it.

        It follows local poses and the root's orientation; the path is the network's own, from over
        the origin, facing y. Raises UsageError beyond ten seconds and for what `features_of` refuses.
        """
        check_seed(seed)
        features = features_of(motion, self.body)
        seconds = len(features) / FPS
        if seconds > LONGEST:
            raise UsageError(
                f"a reference of {seconds:.1f} s given; at most {LONGEST:g} s are refined, so cut it"
            )
        network, device = self.network, self.network.mean.device
        reference = network.normalised(features.to(device))[None, :, REFERENCE]
        yes = torch.ones(1, dtype=torch.bool, device=device)
        text = reference.new_zeros(1, 1, network.config.text_width)
        condition = Condition(text, yes[:, None], yes, yes, reference=reference)
        noise = noise_of([seed], [len(features)]).to(device)
        made = sampled(network, condition, noise, sampling=Sampling(steps=steps))[0]
        return self._motion(made, _Wanted("", (), seconds, seed))

    def condition(self, texts: Sequence[str]) -> Condition:
        """What the network is told of texts, one sample each."""
        device, said = self.network.mean.device, self.encoder.encode(texts)
        no = torch.zeros(len(texts), dtype=torch.bool, device=device)
        return Condition(said.tokens.to(device), said.mask.to(device), no, no)

    def with_hands(
        self, features: Tensor, *, text: tuple[Tensor, Tensor] | None = None, seed: int = 0
    ) -> Motion:
        """The motion at 20 fps of features `(T, 276)`, with hands where there is a network of them.

        `text` are tokens `(L, d)` and their mask `(L)`. The body is that of `motion_of`.
        """
        motion = motion_of(features, self.body)
        if self.hands is None:
            return motion
        return with_hands(motion, self.hands(features, text=text, seed=seed))

    def _made(self, wanted: Sequence[_Wanted], sampling: Sampling) -> list[Motion]:
        device = self.network.mean.device
        condition = self.condition([w.text for w in wanted])
        frames = [w.frames for w in wanted]
        noise = noise_of([w.seed for w in wanted], frames).to(device)
        ends = torch.tensor(frames, device=device)
        mask = torch.arange(noise.shape[1], device=device) < ends[:, None]
        made = sampled(self.network, condition, noise, sampling=sampling,
                       mask=None if bool(mask.all()) else mask)  # fmt: skip
        told = zip(condition.text, condition.text_mask, strict=True)
        return [
            self._motion(values[: w.frames], w, text=text)
            for values, w, text in zip(made, wanted, told, strict=True)
        ]

    def _motion(
        self, values: Tensor, wanted: _Wanted, *, text: tuple[Tensor, Tensor] | None = None
    ) -> Motion:
        """The motion at 30 fps of normalised features `(T, 276)`."""
        features = smoothed(self.network.restored(values)).cpu()
        motion = self.with_hands(features, text=text, seed=wanted.seed).resample(FILE_FPS)
        meta = {"text": wanted.text, "seed": wanted.seed, "notes": list(wanted.notes)}
        return replace(motion[: round(wanted.seconds * FILE_FPS)], meta=meta)


@dataclass(frozen=True)
class _Wanted:
    """One sample to be made."""

    text: str
    notes: tuple[str, ...]
    seconds: float
    seed: int

    @property
    def frames(self) -> int:
        """At 20 fps, the last one at or behind the end: the motion has its seconds in full."""
        return round(self.seconds * FPS) + 1


def load_generator(path: str | Path) -> ViMoGen:
    """The network that `train generator` wrote; raises FileFormatError for other weights."""
    network: ViMoGen = load_network(
        Path(path), lambda **sizes: ViMoGen(ViMoGenConfig(**sizes)), what="generator"
    )
    return network


def _lengths(seconds: float | Sequence[float], count: int) -> list[float]:
    given = [seconds] * count if isinstance(seconds, int | float) else list(seconds)
    if len(given) != count:
        raise UsageError(f"{len(given)} lengths for {count} prompts given; give one, or as many")
    for length in given:
        if not SHORTEST <= length <= LONGEST:
            raise UsageError(
                f"{length:g} seconds asked for; give {SHORTEST:g} to {LONGEST:g}, and several "
                "prompts in a row for longer motions"
            )
    return [float(length) for length in given]
