"""Paths of people and of the camera through the world, in one linear least-squares problem.

What is known: where each pelvis lies from the camera (well across the view, badly along it), that a
camera on a tripod does not move, that standing feet neither slide nor leave the floor, and that a
body has mass. Cuts are simply places where the camera may be somewhere else: people go on moving as
they did, which is what joins the shots. All axes are already the world's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from humanmotion.recovery.sparse_rows import BandedRows, Floats

ACROSS_SIGMA = 0.01
"""Error across the view in metres, half a hundredth of a body; errors of neighbouring frames go
together, which is counted."""
DEPTH_SIGMA = 0.03
"""The same along the view, as a share of the distance. A wrong focal length is a larger error, but one
shared by all frames of a shot: the steps between frames, which make the path, are this good."""
STANCE_STEP_SIGMA = 0.02
"""How far a standing foot may seem to move in a frame, in metres: strides along the view come out of
one picture too short, so feet alone must not make the path; `planting` bends the legs to it."""
STANCE_HEIGHT_SIGMA = 0.02
SUPPORT_SIGMA = 0.3
"""The lower sole is about on the floor even when nothing is known to stand."""
LIFT_SIGMA = 0.01
PELVIS_ACCELERATION = 3.0
"""Usual acceleration of a pelvis, m/s^2."""
CAMERA_ACCELERATION = 2.0
CAMERA_STEP_SIGMA = 0.15
STILL_SIGMA = 5e-4
UNSEEN_STEP_SIGMA = 0.03
LEARNT_STEP_SIGMA = 0.007
"""Error of a network's step of the pelvis in a frame, metres (chosen on val, of 0.005 to 0.015)."""
ANYWHERE_SIGMA = 100.0
"""Nobody has to be seen: what nothing else places is near the start, in metres."""


@dataclass(frozen=True)
class PersonPath:
    """One person as the solver sees them; `T` frames of the whole video, world axes."""

    offset: Floats
    """Pelvis minus camera centre `(T, 3)`, metres."""
    seen: Floats
    """Confidence in it `(T)`, 0 where the person is absent."""
    feet: Floats
    """Foot joints minus pelvis `(T, 2, 3)`."""
    sole: Floats
    """Height of the foot joints above the sole `(2)`."""
    contact: Floats
    """How surely each foot stands, in [0, 1], `(T, 2)`."""
    lowest: Floats
    """Height of the lowest body point minus the pelvis's `(T)`."""
    feet_seen: Floats
    """How far the feet were observed `(T, 2)`, above 0."""
    steps: Floats | None = None
    """Steps of the pelvis `(T - 1, 3)` as a network has them, metres; believed while the camera keeps
    its place, since before a moving one the network sees no step and takes people for standing."""

    def standing(self, stands: Floats) -> PersonPath:
        """The same with other contacts `(T, 2)`, believed as far as the feet were seen."""
        return replace(self, contact=stands * self.feet_seen)


@dataclass(frozen=True)
class Paths:
    """Where everything is in the world, metres."""

    pelvis: Floats
    """`(K, T, 3)`."""
    centre: Floats
    """Camera `(T, 3)`."""


def solve_paths(
    people: Sequence[PersonPath],
    *,
    still: NDArray[np.bool_],
    shot_id: NDArray[np.int64],
    fps: float,
    centre: Floats | None = None,
) -> Paths:
    """Paths of `K` people and the camera; `still` `(T)` where the camera's centre keeps its place.

    With `centre` `(T, 3)` the camera's place is known and only the people are looked for.
    The world's origin is below the first camera. Bodies that would sink are lifted in a second pass.
    """
    layout = _Layout(len(people), len(shot_id))
    lift = np.zeros((len(people), len(shot_id)))
    for _ in range(2):
        rows = BandedRows(layout.size * layout.frames, 3 * layout.size - 1)
        if centre is None:
            _camera_rows(rows, layout, still=still, shot_id=shot_id, fps=fps)
        else:
            _known_camera_rows(rows, layout, centre)
        for k, person in enumerate(people):
            _data_rows(rows, layout, person=person, k=k)
            _foot_rows(rows, layout, person=person, k=k)
            _body_rows(rows, layout, person=person, k=k, fps=fps)
            _told_rows(rows, layout, person=person, k=k, still=still)
            layout.tie(
                rows, layout.person(k, 2), value=-person.lowest, sigma=LIFT_SIGMA, share=lift[k]
            )
        paths = rows.solve().reshape(layout.frames, layout.size // 3, 3).transpose(1, 0, 2)
        lowest = np.stack([p.lowest for p in people]) + paths[1:, :, 2]
        if not (lowest < -0.005).any():
            break
        lift = (lowest < 0.0).astype(np.float64)
    return Paths(pelvis=paths[1:], centre=paths[0])


@dataclass(frozen=True)
class _Layout:
    """Unknowns frame by frame: camera x y z, then each person's pelvis x y z."""

    people: int
    frames: int

    @property
    def size(self) -> int:
        return 3 * (1 + self.people)

    def camera(self, axis: int) -> NDArray[np.int64]:
        return np.arange(self.frames) * self.size + axis

    def person(self, k: int, axis: int) -> NDArray[np.int64]:
        return self.camera(3 * (1 + k) + axis)

    def tie(
        self, rows: BandedRows, column: NDArray[np.int64], *, value: Floats, sigma: float,
        share: Floats,
    ) -> None:  # fmt: skip
        """`x = value` with sigma, counted by `share` `(T)`."""
        on = share > 0
        rows.add(
            column[on, None], np.ones((on.sum(), 1)), value=value[on], weight=share[on] / sigma**2
        )

    def step(
        self, rows: BandedRows, column: NDArray[np.int64], *, value: Floats, sigma: float,
        share: Floats,
    ) -> None:  # fmt: skip
        """`x[t + 1] - x[t] = value[t]` with sigma, counted by `share` `(T - 1)`."""
        on = share > 0
        pairs = np.stack((column[:-1], column[1:]), -1)[on]
        sign = np.broadcast_to((-1.0, 1.0), pairs.shape)
        rows.add(pairs, sign, value=value[on], weight=share[on] / sigma**2)

    def bend(
        self, rows: BandedRows, column: NDArray[np.int64], *, sigma: float, share: Floats
    ) -> None:
        """`x[t] - 2 x[t + 1] + x[t + 2] = 0` with sigma, counted by `share` `(T - 2)`."""
        on = share > 0
        triples = np.stack((column[:-2], column[1:-1], column[2:]), -1)[on]
        sign = np.broadcast_to((1.0, -2.0, 1.0), triples.shape)
        rows.add(triples, sign, value=np.zeros(on.sum()), weight=share[on] / sigma**2)


def _camera_rows(
    rows: BandedRows,
    layout: _Layout,
    *,
    still: NDArray[np.bool_],
    shot_id: NDArray[np.int64],
    fps: float,
) -> None:
    same = shot_id[1:] == shot_id[:-1]
    held = (same & still[1:]).astype(np.float64)
    moving = (same & ~still[1:]).astype(np.float64)
    both = moving[1:] * moving[:-1]
    start = np.zeros(layout.frames)
    start[:1] = 1.0
    zeros = np.zeros(layout.frames)
    for axis in range(3):
        column = layout.camera(axis)
        layout.step(rows, column, value=zeros[1:], sigma=STILL_SIGMA, share=held)
        layout.step(rows, column, value=zeros[1:], sigma=CAMERA_STEP_SIGMA, share=moving)
        layout.bend(rows, column, sigma=CAMERA_ACCELERATION / fps**2, share=both)
        layout.tie(rows, column, value=zeros, sigma=ANYWHERE_SIGMA, share=zeros + 1.0)
        if axis < 2:
            layout.tie(rows, column, value=zeros, sigma=0.01, share=start)


def _known_camera_rows(rows: BandedRows, layout: _Layout, centre: Floats) -> None:
    for axis in range(3):
        everywhere = np.ones(layout.frames)
        column = layout.camera(axis)
        layout.tie(rows, column, value=centre[:, axis], sigma=STILL_SIGMA, share=everywhere)


def _data_rows(rows: BandedRows, layout: _Layout, *, person: PersonPath, k: int) -> None:
    """Three rows a frame: along the ray and twice across it, from the camera to the pelvis."""
    distance = np.maximum(np.linalg.norm(person.offset, axis=-1), 0.3)
    ray = person.offset / distance[:, None]
    helper = np.eye(3)[np.abs(ray).argmin(-1)]
    side = np.cross(ray, helper)
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
    on = person.seen > 0
    columns = np.stack(
        [layout.person(k, a) for a in range(3)] + [layout.camera(a) for a in range(3)], -1
    )
    for axis, sigma in (
        (ray, DEPTH_SIGMA * distance),
        (side, np.full_like(distance, ACROSS_SIGMA)),
        (np.cross(ray, side), np.full_like(distance, ACROSS_SIGMA)),
    ):
        value = (axis * person.offset).sum(-1)
        coefficients = np.concatenate((axis, -axis), -1)
        weight = person.seen / sigma**2
        rows.add(columns[on], coefficients[on], value=value[on], weight=weight[on])


def _foot_rows(rows: BandedRows, layout: _Layout, *, person: PersonPath, k: int) -> None:
    for foot in range(2):
        contact = person.contact[:, foot]
        both = np.minimum(contact[1:], contact[:-1])
        for axis in range(3):
            step = -np.diff(person.feet[:, foot, axis])
            layout.step(
                rows, layout.person(k, axis), value=step, sigma=STANCE_STEP_SIGMA, share=both
            )
        height = person.sole[foot] - person.feet[:, foot, 2]
        layout.tie(
            rows, layout.person(k, 2), value=height, sigma=STANCE_HEIGHT_SIGMA, share=contact
        )


def _body_rows(
    rows: BandedRows, layout: _Layout, *, person: PersonPath, k: int, fps: float
) -> None:
    everywhere = np.ones(layout.frames)
    absent = (person.seen <= 0).astype(np.float64)
    support = (person.sole - person.feet[:, :, 2]).max(-1)
    layout.tie(
        rows, layout.person(k, 2), value=support, sigma=SUPPORT_SIGMA, share=everywhere / fps
    )
    for axis in range(3):
        column = layout.person(k, axis)
        layout.tie(rows, column, value=0 * absent, sigma=ANYWHERE_SIGMA, share=everywhere)
        layout.bend(rows, column, sigma=PELVIS_ACCELERATION / fps**2, share=everywhere[2:])
        layout.step(
            rows, column, value=absent[1:] * 0, sigma=UNSEEN_STEP_SIGMA,
            share=np.maximum(absent[1:], absent[:-1]),
        )  # fmt: skip


def _told_rows(
    rows: BandedRows, layout: _Layout, *, person: PersonPath, k: int, still: NDArray[np.bool_]
) -> None:
    if person.steps is None:
        return
    share = (still[1:] & still[:-1]).astype(np.float64)
    for axis in range(3):
        layout.step(
            rows, layout.person(k, axis), value=person.steps[:, axis], sigma=LEARNT_STEP_SIGMA,
            share=share,
        )  # fmt: skip
