"""Shape and expression space of the default body.

Bodies are drawn at random as blends of the macro morphs (gender, ancestry, age, weight, muscle,
height, proportions) and a few part morphs. Each is brought to the T-pose with its own joints, and
the main directions of what differs between them become the shape directions (1 = one standard
deviation). Expressions are fixed combinations of the facial units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from humanmotion.body.build_skeleton import (
    FINGER_ENDS,
    place_joints,
    rest_rotations,
    source_joints,
)
from humanmotion.body.build_source import Floats, Ints, Source

_PEOPLE = ("african", "asian", "caucasian")
_LEVELS = ("min", "average", "max")
# Part morphs (both sides where they have sides) and their standard deviation.
_PARTS = {
    "hip-hip-scale-horiz": 0.3,
    "torso-torso-vshape": 0.3,
    "torso-torso-scale-depth": 0.2,
    "torso-torso-scale-vert": 0.25,
    "stomach-stomach-tone": 0.4,
    "stomach-stomach-pregnant": 0.15,
    "legs-upperlegs-height": 0.25,
    "legs-lowerlegs-height": 0.25,
    "arms-measure-upperarm-length": 0.3,
    "arms-measure-lowerarm-length": 0.3,
    "torso-measure-shoulder-dist": 0.3,
    "neck-measure-neck-height": 0.2,
    "head-head-scale-horiz": 0.2,
    "hands-{side}-hand-scale": 0.2,
    "feet-{side}-foot-scale": 0.2,
}
# Facial units of each expression direction; a coefficient of 1 plays the units fully.
EXPRESSIONS: tuple[tuple[str, dict[str, float]], ...] = (
    ("smile", {"mouth-corner-puller": 1.0}),
    ("mouth corners down", {"mouth-depression": 1.0}),
    ("pucker", {"mouth-pursing": 0.8, "mouth-protusion": 0.4}),
    ("lips stretched", {"mouth-retraction": 1.0}),
    (
        "nose wrinkled, upper lip raised",
        {
            "nose-left-elevation": 0.7,
            "nose-right-elevation": 0.7,
            "mouth-upward-retraction": 0.6,
        },
    ),
    ("inner brows raised", {"eyebrows-left-inner-up": 1.0, "eyebrows-right-inner-up": 1.0}),
    ("outer brows raised", {"eyebrows-left-extern-up": 1.0, "eyebrows-right-extern-up": 1.0}),
    ("brows lowered", {"eyebrows-left-down": 1.0, "eyebrows-right-down": 1.0}),
    ("left eye closed", {"eye-left-closure": 1.0}),
    ("right eye closed", {"eye-right-closure": 1.0}),
)


@dataclass(frozen=True)
class Morphs:
    """Morph offsets (N, 3) each, loaded once."""

    people: dict[tuple[str, str], Floats]
    old: dict[str, Floats]
    build: dict[tuple[str, int, int], Floats]
    """By gender, muscle level and weight level (0 = least)."""
    height: dict[str, Floats]
    proportions: dict[str, Floats]
    parts: tuple[tuple[float, Floats, Floats], ...]
    """Standard deviation, offsets downwards, offsets upwards."""


def read_morphs(source: Source) -> Morphs:
    """Load every morph the sampler uses; raises InputError naming a missing file."""
    sexes = ("female", "male")
    middle = "young-averagemuscle-averageweight"
    build = {
        (g, m, w): source.target(f"macro/universal-{g}-young-{_LEVELS[m]}muscle-{_LEVELS[w]}weight")
        for g in sexes
        for m in range(3)
        for w in range(3)
    }
    return Morphs(
        {(p, g): source.target(f"macro/{p}-{g}-young") for p in _PEOPLE for g in sexes},
        {g: source.target(f"macro/caucasian-{g}-old") for g in sexes},
        build,
        {g: _span(source, f"macro/height-{g}-{middle}", ("minheight", "maxheight")) for g in sexes},
        {
            g: _span(
                source,
                f"macro/proportions-{g}-{middle}",
                ("uncommonproportions", "idealproportions"),
            )
            for g in sexes
        },
        tuple(_part(source, name, spread) for name, spread in _PARTS.items()),
    )


def _span(source: Source, stem: str, ends: tuple[str, str]) -> Floats:
    low, high = (source.target(f"{stem}-{end}") for end in ends)
    return (high - low) / 2


def _part(source: Source, name: str, spread: float) -> tuple[float, Floats, Floats]:
    sides = ("l", "r") if "{side}" in name else ("",)
    low, high = (
        np.sum([source.target(f"parts/{name.format(side=s)}-{end}") for s in sides], 0)
        for end in ("decr", "incr")
    )
    return spread, low, high


def sample_body(source: Source, morphs: Morphs, rng: np.random.Generator) -> Floats:
    """One random adult (N, 3) in the source pose."""
    female = rng.uniform()
    ancestry = rng.dirichlet(np.ones(len(_PEOPLE)))
    old = rng.uniform(0, 0.6)
    muscle, weight = np.clip(rng.normal(0, (0.5, 0.8)), -1, 1.4)
    height, proportions = rng.normal(0, 0.13), rng.normal(0, 0.35)
    out = source.vertices.copy()
    for gender, share in (("female", female), ("male", 1 - female)):
        young = sum(a * morphs.people[p, gender] for a, p in zip(ancestry, _PEOPLE, strict=True))
        out += share * ((1 - old) * young + old * morphs.old[gender])
        for m, by_muscle in enumerate(_hat(muscle)):
            for w, by_weight in enumerate(_hat(weight)):
                out += share * by_muscle * by_weight * morphs.build[gender, m, w]
        out += share * (height * morphs.height[gender] + proportions * morphs.proportions[gender])
    for spread, low, high in morphs.parts:
        amount = np.clip(rng.normal(0, spread), -1, 1)
        out += -amount * low if amount < 0 else amount * high
    return out


def _hat(value: float) -> tuple[float, float, float]:
    """Shares of the least, middle and greatest morph at `value` in [-1, 1]."""
    return max(-value, 0.0), 1 - abs(value), max(value, 0.0)


def pose_to_rest(vertices: Floats, weights: Floats, joints: Floats) -> tuple[Floats, Floats]:
    """A shaped source mesh (N, 3) in the T-pose, and its joints and finger tips (65, 3).

    `joints` (65, 3) are those of `source_joints`.

    Half of the move is skinning forwards, half the inverse of skinning the T-pose back: the first
    thins the flesh around turned joints, the second thickens it as much.
    """
    rotations = rest_rotations(joints)
    rest, origin = place_joints(joints, rotations)
    shift = rest - np.einsum("jab,jb->ja", rotations, origin)
    ahead = np.einsum("vj,jab->vab", weights, rotations)
    forwards = np.einsum("vab,vb->va", ahead, vertices) + weights @ shift
    back = np.einsum("vj,jba->vab", weights, rotations)
    back_shift = weights @ (origin - np.einsum("jba,jb->ja", rotations, rest))
    inverse = np.linalg.solve(back, (vertices - back_shift)[..., None])[..., 0]
    ends = joints[len(rest) :] - origin[FINGER_ENDS]
    tips = rest[FINGER_ENDS] + np.einsum("jab,jb->ja", rotations[FINGER_ENDS], ends)
    return (forwards + inverse) / 2, np.concatenate([rest, tips])


def source_pose_joints(source: Source, vertices: Floats) -> Floats:
    """Where the 55 joints lie (55, 3) in the source pose."""
    joints = source_joints(source, vertices)
    return place_joints(joints, rest_rotations(joints))[1]


def principal_directions(samples: Floats, quads: Ints, count: int) -> tuple[Floats, Floats]:
    """Mean (V, 3) and scaled directions (V, 3, count) of samples (S, V, 3).

    Vertices count by the skin area they stand for, so that dense faces and fingers do not outweigh
    the trunk. Positive coefficients mean a taller body in direction 0, a stouter one in the others.
    """
    mean = samples.mean(0)
    scale = np.repeat(np.sqrt(_vertex_area(mean, quads)), 3)
    centred = (samples - mean).reshape(len(samples), -1)
    gram = (centred * scale) @ (centred * scale).T
    _, vectors = np.linalg.eigh(gram)
    # With centred samples X and a unit eigenvector u of X X^T, the direction u X / sqrt(S) has
    # samples of standard deviation 1 along it.
    top = vectors[:, ::-1][:, :count]
    directions = (top.T @ centred / np.sqrt(len(samples))).reshape(count, *mean.shape)
    for i, direction in enumerate(directions):
        taller = np.ptp((mean + direction)[:, 1]) - np.ptp(mean[:, 1])
        stouter = _volume(mean + direction, quads) - _volume(mean, quads)
        directions[i] *= np.sign(taller if i == 0 else stouter)
    return mean, np.moveaxis(directions, 0, -1)


def _volume(vertices: Floats, quads: Ints) -> float:
    a, b, c, d = (vertices[quads[:, i]] for i in range(4))
    return float(np.einsum("fa,fa->", a, np.cross(b, c) + np.cross(c, d)) / 6)


def _vertex_area(vertices: Floats, quads: Ints) -> Floats:
    a, b, c, d = (vertices[quads[:, i]] for i in range(4))
    area = np.linalg.norm(np.cross(c - a, d - b), axis=1) / 2
    shares = np.bincount(quads.ravel(), np.repeat(area / 4, 4), len(vertices))
    return np.asarray(shares, np.float64)


def expression_directions(source: Source) -> Floats:
    """Offsets (N, 3, 10) of the expressions; the head keeps its place between the poses."""
    columns = [
        np.sum([amount * source.target(f"expression/{unit}") for unit, amount in units.items()], 0)
        for _, units in EXPRESSIONS
    ]
    return np.stack(columns, -1)
