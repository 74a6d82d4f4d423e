"""Motion from text: prompts in, motions out.

    >>> make = TextToMotion.from_pretrained()
    >>> (walk,) = make("a person walks in a circle", seconds=5, seed=3)

The network, the text encoder and the sampler are separate; this alone knows all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.diffusion.weights import load_network
from humanmotion.errors import FileFormatError, InputError, UsageError
from humanmotion.files import asset, read_json
from humanmotion.generation.features import (
    FPS,
    REFERENCE,
    TRANSL,
    Place,
    features_of,
    inverse,
    motion_of,
    seen_from,
)
from humanmotion.generation.hand_flow import HandMaker
from humanmotion.generation.hands import with_hands
from humanmotion.generation.hints import Kept
from humanmotion.generation.known import KnownCaptions, read_known
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.reconcile import levelled, reconciled
from humanmotion.generation.sampling import (
    DEFAULT,
    Sampling,
    Solver,
    check_seed,
    drawn_features,
    noise_of,
)
from humanmotion.generation.style import Style
from humanmotion.generation.text import TextEncoder, checked_prompt
from humanmotion.generation.vimogen import Condition, ViMoGen, ViMoGenConfig
from humanmotion.motion import Motion

WEIGHTS, LIGHT = "generator/generator.safetensors", "generator/light.safetensors"
KNOWN = "known.safetensors"
"""Lies beside the weights, where there is one."""
FILE_FPS = 30.0
SHORTEST, LONGEST = 0.5, 10.0
"""Seconds; the network was trained on windows of at most ten."""
BRIEFEST = 0.2
"""Seconds of a reference: of fewer frames none says where the others should be."""
MOST_SAMPLES = 1000
BATCH = 16
"""Samples that go through the network at once."""


@dataclass(frozen=True)
class TextToMotion:
    """A trained network with what it needs to answer prompts."""

    network: ViMoGen
    encoder: TextEncoder
    body: BodyModel
    known: KnownCaptions | None = None
    """What was learnt; without it prompts of anything else are taken without a word."""
    style: Style | None = None
    """That all it makes is in; see `in_style_of`."""
    sampling: Sampling = DEFAULT
    """How it is drawn from unless something else is asked for."""
    hands: HandMaker | None = None
    """What gives motions fingers and a jaw that move; without it they are at rest, and absent."""

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path | None = None,
        *,
        light: bool = False,
        encoder: TextEncoder | None = None,
        body: BodyModel | None = None,
        device: torch.device | str = "cpu",
    ) -> TextToMotion:
        """The shipped weights, with `light` the student's of few steps; or others with their `.json`
        beside them, as `train generator` and `train light` write them.

        A `sampling` in that file says how the weights are drawn from. Without an encoder the embedded
        one is taken, without a body the default one. Captions known are read from `known.safetensors`
        beside the weights, if there is one; hands are those of `hands.safetensors` there, else the
        shipped ones. Raises InputError where the weights are missing, FileFormatError for other
        weights, UsageError for an encoder of other tokens.
        """
        path = shipped_weights(light=light) if path is None else Path(path)
        network = load_generator(path).to(device)
        encoder = MiniLM.load() if encoder is None else encoder
        if encoder.width != network.config.text_width:
            raise UsageError(
                f"the encoder gives tokens of {encoder.width} numbers, {path} was trained on "
                f"{network.config.text_width}; give the encoder it was trained with"
            )
        beside = path.with_name(KNOWN)
        known = read_known(beside) if beside.exists() else None
        body = BodyModel.load() if body is None else body
        hands = HandMaker.beside(path, body, device=device)
        return cls(network, encoder, body, known, sampling=load_sampling(path), hands=hands)

    def __call__(
        self,
        prompts: str | Sequence[str],
        *,
        seconds: float | Sequence[float] = 5.0,
        num: int = 1,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        solver: Solver | None = None,
    ) -> list[Motion]:
        """`num` motions at 30 fps for each prompt, one prompt after the other.

        `seconds` is one length or one for each prompt. The same seed gives the same motions, and the
        first prompt's are the same whatever follows. Each starts over the origin, facing y, on a
        floor at 0. Steps, guidance and solver are those of `sampling` unless given. Raises UsageError
        for prompts, lengths, counts, seeds or a `Sampling` that cannot be.
        """
        sampling = self.sampling.given(steps=steps, guidance=guidance, solver=solver)
        check_seed(seed)
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        lengths = _lengths(seconds, len(texts))
        if not 1 <= num * len(texts) <= MOST_SAMPLES or num < 1:
            raise UsageError(
                f"{num} motions for each of {len(texts)} prompts asked for; "
                f"give 1 to {MOST_SAMPLES} in all"
            )
        wanted = [
            _Wanted(*self.checked(text), length, seed=seed * MOST_SAMPLES + i * num + k)
            for i, (text, length) in enumerate(zip(texts, lengths, strict=True))
            for k in range(num)
        ]
        found: list[Motion] = []
        for at in range(0, len(wanted), BATCH):
            found += self._made(wanted[at : at + BATCH], sampling)
        return found

    def refine(self, motion: Motion, *, seed: int = 0, steps: int | None = None) -> Motion:
        """A motion like `motion`, at 30 fps, as the reference-motion branch makes it.

        It follows local poses, the root's orientation and its path, from over the origin, facing y.
        (Published references have no path: what video said of it was not trusted.) Raises UsageError
        beyond ten seconds, below BRIEFEST and for what `features_of` refuses.
        """
        check_seed(seed)
        if motion.duration < BRIEFEST:
            raise UsageError(
                f"a reference of {motion.duration:.2f} s given; give {BRIEFEST:g} s or more"
            )
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
        noise = noise_of(network.noise, [seed], [len(features)]).to(device)
        sampling = self.sampling.given(steps=steps)
        given = network.normalised(features.to(device))[None]
        mask = torch.zeros_like(given, dtype=torch.bool)
        mask[..., TRANSL] = True
        drawn = drawn_features(network, condition, noise, sampling=sampling, style=self.style,
                               kept=Kept(given, mask))  # fmt: skip
        sure = None if drawn.sure is None else drawn.sure[0]
        return self._motion(drawn.features[0], _Wanted("", (), seconds, seed), sure=sure)

    def in_style_of(self, motion: Motion, *, strength: float = 1.0) -> TextToMotion:
        """The same, but all it makes has the posture and the size of movement of a clip (style.py).

        Raises UsageError for a strength outside [0, 1] and a clip of less than half a second.
        """
        style = Style.of(motion, self.body, self.network, strength=strength)
        return replace(self, style=style)

    def checked(self, prompt: str) -> tuple[str, tuple[str, ...]]:
        """As `checked_prompt`, with a note where nothing like it was learnt."""
        text, notes = checked_prompt(prompt)
        if self.known is None:
            return text, notes
        note = self.known.note(text, self.encoder.encode([text]).sentence[0].cpu())
        return text, notes if note is None else (*notes, note)

    def condition(self, texts: Sequence[str]) -> Condition:
        """What the network is told of texts, one sample each."""
        device, said = self.network.mean.device, self.encoder.encode(texts)
        no = torch.zeros(len(texts), dtype=torch.bool, device=device)
        return Condition(said.tokens.to(device), said.mask.to(device), no, no)

    def fingers(
        self,
        features: Tensor,
        *,
        text: tuple[Tensor, Tensor] | None = None,
        seed: int = 0,
        held: Tensor | None = None,
        first: int = 0,
    ) -> Tensor | None:
        """Hands and jaw `(T, 186)` of features `(T, 276)`; None where there is no network of them.

        Arguments are those of `HandMaker`.
        """
        if self.hands is None:
            return None
        return self.hands(features, text=text, seed=seed, held=held, first=first)

    def _made(self, wanted: Sequence[_Wanted], sampling: Sampling) -> list[Motion]:
        device = self.network.mean.device
        condition = self.condition([w.text for w in wanted])
        frames = [w.frames for w in wanted]
        noise = noise_of(self.network.noise, [w.seed for w in wanted], frames).to(device)
        ends = torch.tensor(frames, device=device)
        mask = torch.arange(noise.shape[1], device=device) < ends[:, None]
        found = drawn_features(self.network, condition, noise, sampling=sampling, style=self.style,
                     mask=None if bool(mask.all()) else mask)  # fmt: skip
        told = zip(condition.text, condition.text_mask, strict=True)
        return [
            self._motion(features[: w.frames], w, text=text, on_floor=True)
            for features, w, text in zip(found.features, wanted, told, strict=True)
        ]

    def _motion(
        self,
        features: Tensor,
        wanted: _Wanted,
        *,
        text: tuple[Tensor, Tensor] | None = None,
        sure: Tensor | None = None,
        on_floor: bool = False,
    ) -> Motion:
        """The motion at 30 fps of features `(T, 276)`, brought to the floor if asked for."""
        features = reconciled(features, rest=self.body.rest_joints(), sure=sure)
        if on_floor:
            features = levelled(features, sole=self.body.sole_offset())
        meta = {"text": wanted.text, "seed": wanted.seed, "notes": list(wanted.notes)}
        hands = self.fingers(features, text=text, seed=wanted.seed)
        return at_file_rate(features, self.body, seconds=wanted.seconds, hands=hands, meta=meta)


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


def at_file_rate(
    features: Tensor,
    body: BodyModel,
    *,
    seconds: float,
    hands: Tensor | None = None,
    place: Place | None = None,
    start: float = 0.0,
    meta: dict[str, Any],
) -> Motion:
    """The motion at 30 fps that features `(T, 276)` at 20 fps are, the first `seconds` of it.

    `hands` are the numbers `(T, 186)` of fingers and jaw, at rest and absent where there are none.
    `place` is where they lie in the world, as they are where there is none; `start` the time of the
    first frame.
    """
    if place is not None:
        features = seen_from(features, inverse(place), rest=body.rest_joints())
    motion = motion_of(features, body)
    if hands is not None:
        motion = with_hands(motion, hands)
    motion = motion.resample(FILE_FPS)[: round(seconds * FILE_FPS)]
    return replace(motion, times=motion.times + start, meta=meta)


def shipped_weights(*, light: bool = False) -> Path:
    """Path of the weights in the package; raises InputError, with what to do, where there are none."""
    name = LIGHT if light else WEIGHTS
    try:
        return asset(name)
    except InputError as error:
        raise InputError(
            f"the shipped generator (assets/{name}) is missing; install humanmotion again, or give "
            "weights that `humanmotion train generator` wrote"
        ) from error


def load_generator(path: str | Path) -> ViMoGen:
    """The network that `train generator` or `light` wrote; raises FileFormatError for other weights."""
    network: ViMoGen = load_network(Path(path), _network, what="generator")
    return network


def _network(*, sampling: object = None, **sizes: Any) -> ViMoGen:
    """`sampling` is no matter of the network's."""
    return ViMoGen(ViMoGenConfig(**sizes))


def load_sampling(path: str | Path) -> Sampling:
    """How the weights at `path` are to be drawn from: what their `.json` says, else the default.

    Raises FileFormatError for a `sampling` that cannot be.
    """
    told = Path(path).with_suffix(".json")
    try:
        return Sampling(**read_json(told).get("sampling", {}))
    except (TypeError, AttributeError, UsageError) as error:
        raise FileFormatError(f"{told}: no such sampling: {error}") from error


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
