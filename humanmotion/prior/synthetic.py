"""Hands and faces drawn from anatomy, to fill up what motion capture hardly holds.

Named gestures and expressions, blends of them, and free hands within the limits of the joints.
Nothing is measured: how often a gesture comes up here says nothing about how often people make it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from humanmotion.prior.expressions import (
    EXPRESSION_RANGE,
    EXPRESSIONS,
    FACES,
    HELD_OUT_FACES,
    JAW_RANGE_DEG,
    LEFT_EYE,
    face_distance,
    settle_antagonists,
)
from humanmotion.prior.gestures import (
    COUPLING,
    END_HINGE,
    FINGERS,
    FLEXION,
    GESTURES,
    HELD_OUT,
    LIMITS_DEG,
    MIDDLE_HINGE,
    SPREAD,
    THUMB,
    clearance_mm,
    hand_rotvec,
    within_limits,
)

FREE_SHARE = 0.3
"""Of the training hands; the others are blends of two gestures."""
HAND_NOISE_DEG, FINGER_NOISE_DEG, ANGLE_NOISE_DEG = 4.0, 4.0, 2.5
"""Standard deviations of what all of a hand, all of a finger, and one angle deviate."""
UNSEEN_NOISE = 0.7
"""Share of that noise for held-out gestures, which keeps most of them within their half of the gap."""
GAP_DEG = 12.0
"""Root mean square over a hand's angles: training hands stay so far from the held-out gestures, and
hands that show one stay within half of it."""
CLEARANCE_MM = 6.0
"""Hands whose fingers come nearer to each other run into themselves and are dropped."""
FACE_GAP = 0.35
"""Of `face_distance`, used as GAP_DEG is."""
_CHUNK = 4096
_CURL_CORRELATION = torch.tensor(
    (
        (1.0, 0.6, 0.35, 0.45, 0.3),
        (0.6, 1.0, 0.6, 0.8, 0.3),
        (0.35, 0.6, 1.0, 0.85, 0.2),
        (0.45, 0.8, 0.85, 1.0, 0.2),
        (0.3, 0.3, 0.2, 0.2, 1.0),
    )
)
"""How far the fingers bend together: neighbours share muscles, ring and little finger most."""
_KNUCKLE_CORRELATION = 0.5
"""Of a finger's flexion with that of its middle hinge."""


def sample_hands(count: int, *, generator: Generator, held_out: bool = False) -> Tensor:
    """Left hands as rotation vectors `(count, 15, 3)` in radians; the wrist is not among them.

    Training hands are blends of gestures and free hands; with `held_out` each shows one of the
    gestures in HELD_OUT, which training hands keep away from.
    """
    return hand_rotvec(sample_angles(count, generator=generator, held_out=held_out))


def sample_angles(count: int, *, generator: Generator, held_out: bool = False) -> Tensor:
    """The hands of `sample_hands` as angles `(count, 5, 5)` in degrees (see `gestures`)."""
    unseen = torch.stack([GESTURES[name] for name in HELD_OUT])

    def draw() -> tuple[Tensor, Tensor]:
        if held_out:
            angles = unseen[_choices(_CHUNK, len(unseen), generator)]
            angles = angles + UNSEEN_NOISE * _hand_noise(generator)
        else:
            blend = _uniform(generator, 1, 1) >= FREE_SHARE
            angles = torch.where(blend, _blended_hands(generator), _free_hands(generator))
        angles = within_limits(angles)
        apart = (angles[:, None] - unseen).square().mean((-2, -1)).sqrt().amin(-1)
        fits = apart < GAP_DEG / 2 if held_out else apart > GAP_DEG
        return angles, fits & (clearance_mm(angles) > CLEARANCE_MM)

    return _collect(count, draw)


def sample_faces(
    count: int, *, generator: Generator, held_out: bool = False
) -> tuple[Tensor, Tensor]:
    """Expression coefficients `(count, 10)` and jaw rotation vectors `(count, 3)`, radians.

    With `held_out` each shows one of the expressions in HELD_OUT_FACES at nearly full strength;
    training faces keep away from those.
    """
    unseen = torch.stack([FACES[name] for name in HELD_OUT_FACES])
    seen = torch.stack([face for name, face in FACES.items() if name not in HELD_OUT_FACES])

    def draw() -> tuple[Tensor, Tensor]:
        if held_out:
            faces = unseen[_choices(_CHUNK, len(unseen), generator)]
            faces = faces * (0.85 + 0.3 * _uniform(generator, 1))
        else:
            faces = _blended_faces(seen, generator)
        faces = _natural_face(faces, generator)
        apart = face_distance(faces[:, None], unseen).amin(-1)
        return faces, apart < FACE_GAP / 2 if held_out else apart > FACE_GAP

    faces = _collect(count, draw)
    return faces[:, : len(EXPRESSIONS)], faces[:, len(EXPRESSIONS) :].deg2rad()


def _collect(count: int, draw: Callable[[], tuple[Tensor, Tensor]]) -> Tensor:
    """`count` of the values that `draw` says fit; whole chunks, so that more only appends."""
    kept: list[Tensor] = []
    while sum(map(len, kept)) < count or not kept:
        values, fits = draw()
        kept.append(values[fits])
    return torch.cat(kept)[:count]


def _uniform(generator: Generator, *shape: int) -> Tensor:
    return torch.rand(_CHUNK, *shape, generator=generator)


def _normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(_CHUNK, *shape, generator=generator)


def _choices(count: int, options: int, generator: Generator) -> Tensor:
    return torch.randint(options, (count,), generator=generator)


def _quantile(normal: Tensor) -> Tensor:
    """Where a standard normal number lies among its like, in [0, 1]."""
    return 0.5 * (1 + torch.erf(normal / math.sqrt(2)))


def _hand_noise(generator: Generator) -> Tensor:
    """What a hand deviates from a gesture `(chunk, 5, 5)`, degrees."""
    curl = HAND_NOISE_DEG * _normal(generator, 1, 1)
    curl = curl + FINGER_NOISE_DEG * _normal(generator, len(FINGERS), 1)
    share = torch.zeros(len(FINGERS), 5)
    share[:THUMB] = torch.tensor((1.0, 0.0, 0.0, 1.0, COUPLING))
    share[THUMB] = torch.tensor((0.5, 0.5, 0.3, 0.7, 1.0))
    return curl * share + ANGLE_NOISE_DEG * _normal(generator, len(FINGERS), 5)


def _blended_hands(generator: Generator) -> Tensor:
    """Between two gestures, mostly near the first, each finger somewhat ahead or behind."""
    seen = torch.stack([angles for name, angles in GESTURES.items() if name not in HELD_OUT])
    first, second = (seen[_choices(_CHUNK, len(seen), generator)] for _ in range(2))
    share = _uniform(generator, 1, 1).square() + 0.1 * _normal(generator, len(FINGERS), 1)
    return first.lerp(second, share.clamp(0, 1)) + _hand_noise(generator)


def _free_hands(generator: Generator) -> Tensor:
    """Any hand within the limits whose fingers bend together as far as fingers do."""
    low, high = LIMITS_DEG.unbind(-1)
    root = torch.linalg.cholesky(_CURL_CORRELATION)
    bend, other = (_normal(generator, len(FINGERS)) @ root.T for _ in range(2))
    r = _KNUCKLE_CORRELATION
    knuckle = r * bend + math.sqrt(1 - r**2) * other
    place = _quantile(_normal(generator, len(FINGERS), 5))
    place[:, :THUMB, FLEXION] = _quantile(knuckle)[:, :THUMB]
    place[:, :, MIDDLE_HINGE] = _quantile(bend)
    fan = _normal(generator, 1) + 0.4 * _normal(generator, THUMB)
    place[:, :THUMB, SPREAD] = _quantile(fan / math.sqrt(1.16))
    angles = low + place * (high - low)
    follow = COUPLING * angles[:, :THUMB, MIDDLE_HINGE]
    angles[:, :THUMB, END_HINGE] = follow + 5 * _normal(generator, THUMB)
    return angles


def _blended_faces(seen: Tensor, generator: Generator) -> Tensor:
    """One expression mixed with another, at any strength, `(chunk, 11)`."""
    first, second = (seen[_choices(_CHUNK, len(seen), generator)] for _ in range(2))
    mixed = first.lerp(second, _uniform(generator, 1).square())
    return mixed * (0.2 + _uniform(generator, 1))


def _natural_face(faces: Tensor, generator: Generator) -> Tensor:
    """Noise, blinks, a jaw that slides a little, and limits: `(chunk, 11)` to `(chunk, 13)`."""
    shown, opening = faces.split((len(EXPRESSIONS), 1), -1)
    shown = shown + 0.05 * _normal(generator, len(EXPRESSIONS))
    # Both lids go together: what one does alone is a wink, which the table holds.
    lids = 0.05 * _normal(generator, 1)
    blink = _uniform(generator, 1) < 0.08
    closed = torch.where(blink, _uniform(generator, 1), torch.full_like(lids, -1.0))
    eyes = (shown[:, LEFT_EYE:] + lids).maximum(closed)
    shown = torch.cat((shown[:, :LEFT_EYE], eyes), -1).clamp(*EXPRESSION_RANGE)
    shown = settle_antagonists(shown)
    sideways = _normal(generator, 2) * torch.tensor((1.2, 0.5))
    jaw = torch.cat((opening + 1.2 * _normal(generator, 1), sideways), -1)
    return torch.cat((shown, jaw.clamp(*JAW_RANGE_DEG.unbind(-1))), -1)
