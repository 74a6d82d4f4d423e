"""PosePrior: the shipped prior of body, hands and face, of single poses and of movement.

`denoise` is what solvers, samplers and scores ask; `scoring.regulariser` is the same as a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from humanmotion.errors import FileFormatError, UsageError
from humanmotion.prior.denoiser import Denoiser, DenoiserConfig
from humanmotion.prior.gaussian_motion import GROUPS
from humanmotion.prior.space import SIZE, TOKENS, PoseSpace

Kind = Literal["pose", "motion"]
KINDS: tuple[Kind, ...] = ("pose", "motion")
LEVELS = 24
"""Noise levels at which the networks' errors are known."""
LEAST_LEVEL, MOST_LEVEL = 0.02, 20.0
FIT_TRUST = 0.3
"""Share of what the networks add to their Gaussians that counts in fits (chosen on val). Fits ask about
states with less noise than they tell of, which no network has seen; the Gaussians are exact there."""
WINDOW = 60
"""Frames at 30 fps of the windows of movement."""


def table_levels() -> Tensor:
    """The noise levels of the error tables `(24)`, rising."""
    ends = torch.tensor((LEAST_LEVEL, MOST_LEVEL)).log()
    return torch.linspace(float(ends[0]), float(ends[1]), LEVELS).exp()


@dataclass(frozen=True, eq=False)
class PosePrior:
    """Denoisers of poses and of windows of poses, and how far they err."""

    space: PoseSpace
    networks: Mapping[Kind, Denoiser]
    errors: Mapping[Kind, Tensor]
    """Root mean square error of each number at each of `table_levels` `(24, 172)`, on val poses."""

    def denoise(
        self,
        state: Tensor,
        rho: Tensor,
        *,
        kind: Kind = "pose",
        classes: Tensor | None = None,
        trust: float = 1.0,
    ) -> Tensor:
        """Expected clean states `(..., T, 172)` of noisy ones at levels `rho` `(..., T, 55)`.

        For `motion`, T are frames at 30 fps; longer ones are taken in overlapping windows, and
        `classes` (of `liveliness`) say how lively each is; without them that follows from `state`.
        `trust` is the share of what the network adds to its Gaussians that counts: fits give FIT_TRUST.
        """
        network = self.networks[kind]
        rho = rho.expand(*state.shape[:-1], TOKENS)
        with torch.no_grad():
            if kind == "pose":
                return network(state, rho, trust=trust)
            return _in_windows(partial(network, trust=trust), state, rho, classes=classes)

    def liveliness(self, seen: Tensor, level: Tensor) -> Tensor:
        """How far the windows of a movement are of each class in each group `(..., W, 4, classes)`.

        It was seen as states `(..., T, 172)` with noise of levels `(..., T, 172)`, number by number.
        """
        linear, lead = self.networks["motion"].linear, seen.shape[:-2]
        starts = _starts(seen.shape[-2])
        parts = [
            torch.stack([x[..., i : i + WINDOW, :] for i in starts], -3) for x in (seen, level)
        ]
        with torch.no_grad():
            found = linear.classes(*(x.reshape(-1, *x.shape[-2:]) for x in parts))
        return found.reshape(*lead, len(starts), *found.shape[1:])

    def shifted(
        self, shift: Tensor, rho: Tensor, *, kind: Kind = "pose", classes: Tensor | None = None
    ) -> Tensor:
        """What `denoise` gains where the whole prior is moved by `shift` `(..., T, 172)`.

        Exact for a Gaussian of these `classes`; what the networks add is taken not to move.
        """
        linear = self.networks[kind].linear
        rho = rho.expand(*shift.shape[:-1], TOKENS)

        def expected(state: Tensor, levels: Tensor, its: Tensor | None) -> Tensor:
            lead = (-1, state.shape[-2] if kind == "motion" else 1)
            flat = (state + linear.mean).reshape(*lead, SIZE)
            if its is not None:
                its = its.reshape(-1, *its.shape[-2:])
            found = linear(flat, levels.reshape(*lead, TOKENS), its)
            return (found - linear.mean).reshape(state.shape)

        with torch.no_grad():
            if kind == "pose":
                return shift - expected(shift, rho, None)
            return shift - _in_windows(expected, shift, rho, classes=classes)

    def draw_shift(
        self, lead: tuple[int, int], classes: Tensor | None, *, generator: torch.Generator
    ) -> Tensor:
        """`lead` `(K, T)` states about the mean `(K, T, 172)`, as the Gaussians know them.

        A movement whose windows are of `classes` `(W, 4, classes)`, or poses without any.
        """
        count, frames = lead
        if classes is None:
            linear = self.networks["pose"].linear
            alone = torch.ones(count * frames, len(GROUPS), 1)
            return linear.draw(alone, generator=generator).reshape(count, frames, SIZE)
        # Longer ones change over between independent windows; squares of the shares add up to one.
        half = WINDOW // 2
        pieces = -(-frames // half) + 1
        of = [min(max(i - 1, 0), len(classes) - 1) for i in range(pieces)]
        each = classes[of].expand(count, -1, -1, -1).flatten(0, 1)
        drawn = self.networks["motion"].linear.draw(each, generator=generator)
        drawn = drawn.unflatten(0, (count, pieces))
        angle = (torch.arange(half) + 0.5) / half * (torch.pi / 2)
        rise, fall = angle.sin()[:, None], angle.cos()[:, None]
        joined = drawn[:, 1:, :half] * rise + drawn[:, :-1, half:] * fall
        return joined.flatten(1, 2)[:, :frames]

    def sigma(self, level: float, *, kind: Kind = "pose") -> Tensor:
        """Standard deviation `(172)` of `denoise`'s answers when everything is at one level."""
        table = self.errors[kind]
        low, high = torch.tensor((LEAST_LEVEL, MOST_LEVEL)).log().tolist()
        at = (torch.tensor(level).log().item() - low) / (high - low) * (LEVELS - 1)
        at = min(max(at, 0.0), LEVELS - 1.0)
        first = min(int(at), LEVELS - 2)
        error = torch.lerp(table[first], table[first + 1], at - first)
        # Below the table's end the error falls with the level itself.
        return error * min(1.0, level / LEAST_LEVEL)

    def tensors(self) -> dict[str, Tensor]:
        """Everything as named tensors, weights in bfloat16."""
        out = {"space/mean": self.space.mean, "space/spread": self.space.spread}
        for kind in self.networks:
            out[f"errors/{kind}"] = self.errors[kind]
            for name, value in self.networks[kind].state_dict().items():
                out[f"{kind}/{name}"] = value.to(torch.bfloat16)
        return {name: value.contiguous() for name, value in out.items()}

    def config(self) -> dict[str, Any]:
        """Sizes of the networks, as JSON."""
        return {kind: asdict(network.config) for kind, network in self.networks.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> PosePrior:
        """The prior of `tensors()` and `config()`; raises FileFormatError when they do not fit."""
        try:
            networks = {kind: Denoiser(DenoiserConfig(**config[kind])) for kind in config}
            for kind, network in networks.items():
                prefix = f"{kind}/"
                own = {k.removeprefix(prefix): v.float() for k, v in tensors.items()
                       if k.startswith(prefix)}  # fmt: skip
                network.load_state_dict(own)
                network.eval().requires_grad_(False)
            errors = {kind: tensors[f"errors/{kind}"].float() for kind in config}
            space = PoseSpace(tensors["space/mean"], tensors["space/spread"])
            shapes = {tuple(e.shape) for e in errors.values()} | {(LEVELS, len(space.spread))}
            if set(config) != set(KINDS) or shapes != {(LEVELS, SIZE)}:
                raise KeyError("networks or tables of another size")
        except (KeyError, TypeError, RuntimeError) as error:
            raise FileFormatError(
                f"these weights are not a pose prior of this version: {error}".splitlines()[0]
            ) from error
        return cls(space, networks, errors)  # type: ignore[arg-type]


def _starts(frames: int) -> list[int]:
    """First frames of the windows, half of which overlap."""
    last = max(frames - WINDOW, 0)
    return [*range(0, last, WINDOW // 2), last]


def _in_windows(
    expected: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    state: Tensor,
    rho: Tensor,
    *,
    classes: Tensor | None,
) -> Tensor:
    """`expected` of overlapping windows, blended by a weight that falls to their ends."""
    frames = state.shape[-2]
    length = min(frames, WINDOW)
    ramp = 1 - (torch.arange(length, device=state.device) - (length - 1) / 2).abs() / (WINDOW / 2)
    total, weight = torch.zeros_like(state), torch.zeros(frames, device=state.device)
    for number, start in enumerate(_starts(frames)):
        part = slice(start, start + length)
        its = None if classes is None else classes[..., number, :, :]
        total[..., part, :] += expected(state[..., part, :], rho[..., part, :], its) * ramp[:, None]
        weight[part] += ramp
    return total / weight[:, None]


def check_state(state: Tensor) -> None:
    """Raise UsageError unless this is `(..., 172)` and finite."""
    if state.shape[-1:] != (SIZE,):
        raise UsageError(f"state has shape {tuple(state.shape)}, expected (..., {SIZE})")
    if not bool(torch.isfinite(state).all()):
        raise UsageError(
            "state holds values that are not finite; give missing joints a level of inf"
        )
