"""Rendered edits: recorded motion on dressed bodies in textured rooms, filmed and cut together.

An edit is fixed by its clips, its number of shots and a seed. Time goes on over every cut; at a
dissolve two shots of the same moments are mixed, over 5 to 25 frames. The next shot is taken in the
same room by another camera, or in another room with other walls and other light. Some edits are
flashed at, by a lamp that whitens the picture or by a flare across the lens.

What counts as right of a cut: a hard cut is the first frame of the later shot; a dissolve is found
anywhere among its mixed frames, widened by the tolerance on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.bench.ms_mocap import SHOT_SECONDS, on_a_body, seed_of
from humanmotion.bench.rendered_cameras import Stage, take_cameras
from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.io.video import Image
from humanmotion.motion import Motion
from humanmotion.recovery.virtual_cameras import STRATUM, Kind
from humanmotion.viz.backdrop import Box
from humanmotion.viz.mesh import Mesh, Rgb
from humanmotion.viz.outfit import Outfit, outfit_colors
from humanmotion.viz.render import Renderer, open_renderer
from humanmotion.viz.scene import render_scene, textured_room

SIZE = (640, 360)
"""Width and height of the pictures."""
SAME_SCENE = 0.55
"""Chance that the next shot is taken in the same room."""
DISSOLVED = 0.28
"""Chance that it is dissolved into."""
DISSOLVE_FRAMES = (5, 25)
FLASHED = 0.35
"""Chance that an edit is flashed at."""
SPARED_FRAMES = 6
"""A flash comes no nearer to a cut or dissolve: on one it would be the cut."""
APART_FRAMES = 12
"""Between the beginnings of two flashes, at least."""
SLACK_SECONDS = 0.35
"""By which shots are longer than the shortest, on average."""
ROOM_METRES, CEILING_METRES = (14.0, 26.0), (3.3, 5.5)
GRAIN = 1.5
"""Standard deviation of the sensor's noise."""
APART_METRES = (0.9, 2.0)
"""Between the middles of two people's ways, unless they would come nearer than NEAREST_METRES."""
NEAREST_METRES = 0.6
"""Between two pelvises."""

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Take:
    """One shot as it was filmed, mixed frames of dissolves at its ends included."""

    start: int
    stop: int
    room: int
    """Number of the room; shots with the same one are one scene."""
    kind: Kind
    camera: Camera
    """Of frames `start` to `stop - 1`."""
    gain: Array
    """Exposure and tint `(3)`."""


@dataclass(frozen=True)
class Transition:
    """From one shot to the next: mixed frames `first` to `last`, or one frame at a hard cut."""

    cut: int
    """First frame of the later shot, or the first in which it weighs as much as the other."""
    first: int
    last: int
    same_scene: bool

    @property
    def dissolve(self) -> bool:
        """Whether the shots were mixed."""
        return self.last > self.first


@dataclass(frozen=True)
class Flash:
    """Light on `strengths` frames from `start` on; over all of the picture, or flaring from a place."""

    start: int
    strengths: tuple[float, ...]
    place: tuple[float, float] | None
    """Of the flare, in picture widths and heights; None for a lamp."""


@dataclass(frozen=True, eq=False)
class Edit:
    """A made-up video and all that is true of it."""

    name: str
    motions: tuple[Motion, ...]
    """Of everybody, over all frames, on their own bodies."""
    outfits: tuple[Outfit, ...]
    rooms: tuple[int, ...]
    """Seeds of the rooms."""
    takes: tuple[Take, ...]
    transitions: tuple[Transition, ...]
    flashes: tuple[Flash, ...]
    seed: int

    def __len__(self) -> int:
        return len(self.motions[0])

    @cached_property
    def fps(self) -> float:
        """Pictures a second."""
        return float(self.motions[0].fps)


def make_edit(
    motions: Sequence[Motion],
    body: BodyModel,
    *,
    shots: int,
    seed: int,
    kind: Kind | None = None,
    flashed: float = FLASHED,
) -> Edit:
    """People filmed in `shots` shots, each camera of `kind` if one is given.

    The motions lie about each other as they are. Raises InputError when no camera can film them.
    """
    name = "+".join(m.meta["source"] for m in motions)
    number = seed_of(name, "render", shots, seed)
    generator, rng = torch.Generator().manual_seed(number), np.random.default_rng(number)
    motions = _window(motions, shots, rng)
    motions = [on_a_body(m, body, generator=generator) for m in motions]
    motions = _arranged(motions, body, rng)
    frames, fps = len(motions[0]), motions[0].fps
    transitions = _transitions(frames, shots, fps=fps, rng=rng)
    takes, rooms = _takes(motions, body, transitions, kind=kind, generator=generator, rng=rng)
    return Edit(
        name=name,
        motions=tuple(motions),
        outfits=tuple(_outfits(len(motions), rng)),
        rooms=rooms,
        takes=takes,
        transitions=transitions,
        flashes=_flashes(frames, transitions, rng) if rng.random() < flashed else (),
        seed=number,
    )


def _window(motions: Sequence[Motion], shots: int, rng: np.random.Generator) -> list[Motion]:
    """As many frames of each clip as the shots need, from somewhere in it."""
    fps = motions[0].fps
    most = round(shots * (SHOT_SECONDS + SLACK_SECONDS) * fps)
    frames = min([most, *(len(m) for m in motions)])
    starts = [int(rng.integers(0, len(m) - frames + 1)) for m in motions]
    return [m[a : a + frames] for m, a in zip(motions, starts, strict=True)]


def _arranged(motions: Sequence[Motion], body: BodyModel, rng: np.random.Generator) -> list[Motion]:
    """Everybody about the middle of the room; several a step or two apart, none through another."""
    paths = [_flat(body.joints_of(m)[:, 0]) for m in motions]
    centres = [(p.amin(0) + p.amax(0)) / 2 for p in paths]
    placed = [paths[0] - centres[0]]
    moves = [-centres[0]]
    for path, centre in zip(paths[1:], centres[1:], strict=True):
        for reach in rng.uniform(*APART_METRES) + np.linspace(0.0, 2.0, 60):
            angle = rng.uniform(0, 2 * math.pi)
            step = torch.tensor((math.cos(angle), math.sin(angle), 0.0)) * float(reach)
            here = path - centre + step
            if all(float((here - p).norm(dim=-1).min()) > NEAREST_METRES for p in placed):
                break
        placed.append(here)
        moves.append(step - centre)
    return [replace(m, transl=m.transl + move) for m, move in zip(motions, moves, strict=True)]


def _flat(path: Tensor) -> Tensor:
    return path * path.new_tensor((1.0, 1.0, 0.0))


def _transitions(
    frames: int, shots: int, *, fps: float, rng: np.random.Generator
) -> tuple[Transition, ...]:
    least = int(SHOT_SECONDS * fps)
    spare = np.sort(rng.integers(0, frames - shots * least + 1, shots - 1))
    out = []
    for number in range(shots - 1):
        cut = (number + 1) * least + int(spare[number])
        same, mixed = rng.random() < SAME_SCENE, rng.random() < DISSOLVED
        length = int(rng.integers(DISSOLVE_FRAMES[0], DISSOLVE_FRAMES[1] + 1)) if mixed else 1
        first = cut - length // 2
        out.append(Transition(cut, first, first + length - 1, bool(same)))
    return tuple(out)


def _takes(
    motions: Sequence[Motion],
    body: BodyModel,
    transitions: Sequence[Transition],
    *,
    kind: Kind | None,
    generator: torch.Generator,
    rng: np.random.Generator,
) -> tuple[tuple[Take, ...], tuple[int, ...]]:
    paths = torch.stack([body.joints_of(m)[:, 0] for m in motions])
    frames, fps = paths.shape[1], motions[0].fps
    starts = [0, *(t.first for t in transitions)]
    stops = [*(t.last + (1 if t.dissolve else 0) for t in transitions), frames]
    azimuth, takes = float(rng.uniform(0, 2 * math.pi)), []
    rooms = [int(rng.integers(1 << 30))]
    light = _light(rng)
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if number and not transitions[number - 1].same_scene:
            rooms.append(int(rng.integers(1 << 30)))
            light = _light(rng)
        stage = Stage(paths[:, start:stop], *corners(rooms[-1]), fps, SIZE)
        chosen, camera = take_cameras(stage, azimuth, kind=kind, generator=generator)
        gain = light * rng.normal(1.0, 0.03)
        takes.append(Take(start, stop, len(rooms) - 1, chosen, camera, gain.astype(np.float32)))
        # One of four ranges equally often, as the virtual cameras turn at a cut.
        turn = math.radians(STRATUM * (rng.integers(4) + rng.random()))
        azimuth += turn if rng.random() < 0.5 else -turn
    return tuple(takes), tuple(rooms)


def _light(rng: np.random.Generator) -> Array:
    return np.asarray(rng.uniform(0.7, 1.15) * rng.uniform(0.92, 1.08, 3), np.float32)


def _flashes(
    frames: int, transitions: Sequence[Transition], rng: np.random.Generator
) -> tuple[Flash, ...]:
    """One to three, away from the cuts."""
    free = np.ones(frames, bool)
    free[:SPARED_FRAMES] = free[-SPARED_FRAMES:] = False
    for t in transitions:
        free[max(t.first - SPARED_FRAMES - 2, 0) : t.last + SPARED_FRAMES + 1] = False
    out: list[Flash] = []
    for start in rng.choice(np.flatnonzero(free), rng.integers(1, 4), replace=False).tolist():
        if any(abs(start - other.start) < APART_FRAMES for other in out):
            continue
        strength = float(rng.uniform(0.45, 0.9))
        lasting = (
            (strength,) if rng.random() < 0.5 else (strength, strength * rng.uniform(0.4, 0.9))
        )
        place = (rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.5)) if rng.random() < 0.4 else None
        out.append(Flash(start, lasting, place))
    return tuple(out)


def _outfits(count: int, rng: np.random.Generator) -> Iterator[Outfit]:
    """Clothes as people wear them: any shirt, darker and duller trousers; one hue for nobody twice."""
    first = rng.uniform(0, 180)
    for number in range(count):
        hue = (first + 180 * number / count + rng.uniform(-15, 15)) % 180
        skin = np.array((0.86, 0.66, 0.55)) * rng.uniform(0.45, 1.05)
        hair = np.array((0.30, 0.20, 0.13)) * rng.uniform(0.3, 2.0)
        yield Outfit(
            skin=_rgb(skin),
            hair=_rgb(hair),
            shirt=_hsv(hue, rng.uniform(70, 210), rng.uniform(90, 220)),
            trousers=_hsv(rng.uniform(0, 180), rng.uniform(20, 130), rng.uniform(40, 140)),
            shoes=_rgb(np.full(3, rng.uniform(0.08, 0.7))),
        )


def _rgb(color: Sequence[float] | NDArray[np.floating]) -> Rgb:
    red, green, blue = (float(np.clip(c, 0, 1)) for c in color)
    return red, green, blue


def _hsv(hue: float, saturation: float, value: float) -> Rgb:
    pixel = np.array([[(hue, saturation, value)]]).astype(np.uint8)
    return _rgb(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0] / 255)


def corners(seed: int) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The smallest and largest coordinates of the room of a seed, metres."""
    rng = np.random.default_rng(seed)
    half, height = rng.uniform(*ROOM_METRES) / 2, rng.uniform(*CEILING_METRES)
    return (-half, -half, 0.0), (half, half, height)


def room(seed: int) -> Box:
    """A hall whose walls, floor and size the seed decides."""
    rng, (_, (half, _, height)) = np.random.default_rng((seed, 1)), corners(seed)
    plain = textured_room(edge_metres=2 * half, height_metres=height, seed=seed)
    paint = rng.uniform(0.6, 1.2) * rng.uniform(0.75, 1.1, (6, 1, 1, 3))
    textures = np.clip(plain.textures * paint.astype(np.float32), 0, 255).astype(np.uint8)
    return replace(plain, textures=textures)


def frames(edit: Edit, body: BodyModel) -> Iterator[tuple[float, Image]]:
    """The edit's pictures `(H, W, 3)` uint8 RGB with their seconds, as the detector takes them.

    `io.video.write_video` makes a file to look at of the pictures.
    """
    rng = np.random.default_rng(edit.seed)
    cast = [outfit_colors(body, wear) for wear in edit.outfits]
    boxes = [room(seed) for seed in edit.rooms]
    faces, noise = body.faces.numpy(), _noise(rng)
    with closing(open_renderer(smooth_edges=False)) as renderer:
        for frame in range(len(edit)):
            meshes = [
                Mesh(_vertices(motion, body, frame), faces, colors)
                for motion, colors in zip(edit.motions, cast, strict=True)
            ]
            picture = np.sum(
                [
                    weight * _filmed(take, frame, meshes, boxes[take.room], renderer)
                    for take, weight in _mixture(edit, frame)
                ],
                0,
            )
            for flash in edit.flashes:
                picture = _lit(picture, flash, frame)
            shift = int(rng.integers(noise.size))
            picture += np.roll(noise, shift).reshape(picture.shape)
            yield frame / edit.fps, np.clip(picture, 0, 255).astype(np.uint8)


def _vertices(motion: Motion, body: BodyModel, frame: int) -> Array:
    part = motion[frame : frame + 1]
    vertices = body.vertices(part.rotations, betas=part.betas, transl=part.transl)[0]
    return np.asarray(vertices.numpy(), np.float32)


def _noise(rng: np.random.Generator) -> Array:
    return rng.normal(0.5, GRAIN, SIZE[0] * SIZE[1] * 3).astype(np.float32)


def _mixture(edit: Edit, frame: int) -> Iterator[tuple[Take, float]]:
    """Shots that show in a frame, and how much of each."""
    for number, take in enumerate(edit.takes):
        if not take.start <= frame < take.stop:
            continue
        weight = 1.0
        if number and edit.transitions[number - 1].dissolve:
            weight *= _risen(edit.transitions[number - 1], frame)
        if number < len(edit.transitions) and edit.transitions[number].dissolve:
            weight *= 1 - _risen(edit.transitions[number], frame)
        yield take, weight


def _risen(transition: Transition, frame: int) -> float:
    """Weight of the later shot."""
    length = transition.last - transition.first + 1
    return float(np.clip((frame - transition.first + 1) / (length + 1), 0, 1))


def _filmed(take: Take, frame: int, meshes: Sequence[Mesh], box: Box, renderer: Renderer) -> Array:
    camera, at = take.camera, frame - take.start
    picture = render_scene(
        meshes,
        box,
        K=camera.K[at].numpy(),
        R_w2c=camera.R_w2c[at].numpy(),
        t_w2c=camera.t_w2c[at].numpy(),
        width=camera.width,
        height=camera.height,
        renderer=renderer,
    )
    return picture * take.gain


def _lit(picture: Array, flash: Flash, frame: int) -> Array:
    """The picture with the light of a flash on it."""
    at = frame - flash.start
    if not 0 <= at < len(flash.strengths):
        return picture
    strength = flash.strengths[at]
    if flash.place is None:
        return picture + np.float32(strength) * (255 - picture)
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    away = np.hypot(x - flash.place[0] * width, y - flash.place[1] * height) / width
    glow = np.exp(-((away / 0.35) ** 2)).astype(np.float32)[..., None]
    return picture + strength * glow * np.array((255, 235, 190), np.float32)
