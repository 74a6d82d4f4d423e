"""Cameras of rendered shots, which are what they are called: still, visibly turning, or travelling.

They are those of `recovery.virtual_cameras`, drawn until one stands in the room, keeps the people in
the picture and does what its kind says. A camera that turns moves the picture by TURN_PX at least:
where following the people does not do that, it sweeps over them on its own. A camera that travels gets
as far as TRAVEL_METRES from its first place, and shakes as one held by hand. How much of that the
background shows depends on the lens and on how far away things are: nothing is said about it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.errors import InputError
from humanmotion.recovery.virtual_cameras import KIND_SHARES, KINDS, Kind, draw_cameras
from humanmotion.rotations import rotvec_to_matrix

TURN_PX = 20.0
"""Least motion of the middle of the picture while a camera turns, at a picture of 640."""
SWEEP_PX = (30.0, 110.0)
"""The same of a sweep."""
TRAVEL_METRES = 0.5
WALL_METRES = 0.3
"""Nearest a camera comes to a wall, the floor or the ceiling."""
HEAD_METRES = 0.75
"""Of the top of a standing head over the pelvis."""
SHOWN = 0.95
"""Share of the frames in which pelvis and head of everybody are in the picture."""
DRAWS, ROUNDS = 24, 12


@dataclass(frozen=True)
class Stage:
    """Who is filmed, where, and how the pictures are taken."""

    paths: Tensor
    """Pelvis of each of `P` people `(P, T, 3)`, metres, z up."""
    low: tuple[float, float, float]
    """Corner of the room with the smallest coordinates."""
    high: tuple[float, float, float]
    fps: float
    size: tuple[int, int]


def take_cameras(
    stage: Stage, azimuth: float, *, kind: Kind | None, generator: torch.Generator
) -> tuple[Kind, Camera]:
    """A camera of `T` frames at about `azimuth` (radians) from the people, and its kind.

    Without a `kind` it is drawn, and given up for another where no such camera can film these people.
    Raises InputError when none can.
    """
    wanted = [kind] if kind is not None else _order(generator)
    for one in wanted:
        for _ in range(ROUNDS):
            found = _found(stage, azimuth, kind=one, generator=generator)
            if found is not None:
                return one, found
    raise InputError(f"no {' or '.join(wanted)} camera in this room films these people")


def _order(generator: torch.Generator) -> list[Kind]:
    """Every kind, likely ones more likely first."""
    order = torch.multinomial(torch.tensor(KIND_SHARES), len(KINDS), generator=generator)
    return [KINDS[int(i)] for i in order]


def _found(
    stage: Stage, azimuth: float, *, kind: Kind, generator: torch.Generator
) -> Camera | None:
    """The first of some drawn cameras that will do."""
    frames = stage.paths.shape[1]
    middle = stage.paths.mean(0).expand(DRAWS, -1, -1)
    around = azimuth + 0.2 * torch.randn(DRAWS, generator=generator)
    drawn, cameras = draw_cameras(
        middle, around, fps=stage.fps, size=stage.size, generator=generator
    )
    for number in (drawn == KINDS.index(kind)).nonzero()[:, 0].tolist():
        camera = cameras[slice(number * frames, (number + 1) * frames)]
        if kind == "pan" and turned_px(camera) < TURN_PX:
            camera = _sweeping(camera, generator)
        if _in_the_room(camera, stage) and _shows(camera, stage.paths) and _is(camera, kind):
            return camera
    return None


def turned_px(camera: Camera) -> float:
    """How far the middle of the picture gets while the camera turns, in pixels of a picture of 640."""
    ahead = camera.R_w2c[:, 2]
    # By the chord: the arc cosine of nearly one is all rounding.
    angle = 2 * ((ahead - ahead[0]).norm(dim=-1) / 2).asin().max()
    return float(angle * camera.K[0, 0, 0]) * 640 / max(camera.width, camera.height)


def travelled_metres(camera: Camera) -> float:
    """How far the camera gets from its first place."""
    return float((camera.centre - camera.centre[0]).norm(dim=-1).max())


def _is(camera: Camera, kind: Kind) -> bool:
    if kind == "moving":
        return travelled_metres(camera) >= TRAVEL_METRES
    return kind == "static" or turned_px(camera) >= TURN_PX


def _sweeping(camera: Camera, generator: torch.Generator) -> Camera:
    """The camera also turns about its own vertical, at an even speed, over the people."""
    size, side = torch.rand(2, generator=generator)
    across = (SWEEP_PX[0] + (SWEEP_PX[1] - SWEEP_PX[0]) * size) * max(camera.width, camera.height)
    angle = across / 640 / camera.K[0, 0, 0] * torch.linspace(-0.5, 0.5, len(camera))
    angle = angle if side < 0.5 else -angle
    turn = rotvec_to_matrix(torch.stack((0 * angle, angle, 0 * angle), -1))
    centre, R = camera.centre, turn @ camera.R_w2c
    return replace(camera, R_w2c=R, t_w2c=-(R @ centre[..., None])[..., 0])


def _in_the_room(camera: Camera, stage: Stage) -> bool:
    low, high = (camera.centre.new_tensor(c) for c in (stage.low, stage.high))
    centre = camera.centre
    return bool(((centre > low + WALL_METRES) & (centre < high - WALL_METRES)).all())


def _shows(camera: Camera, paths: Tensor) -> bool:
    """Whether pelvis and head of everybody are in the picture for long enough."""
    head = paths + paths.new_tensor((0.0, 0.0, HEAD_METRES))
    points = torch.stack((paths, head), 2).transpose(0, 1)  # (T, P, 2, 3)
    place, depth = camera.project(points), camera.to_camera(points)[..., 2]
    edge = place.new_tensor((camera.width, camera.height))
    inside = ((place > 0) & (place < edge)).all(-1) & (depth > WALL_METRES)
    return bool((inside.all(2).float().mean(0) >= SHOWN).all())
