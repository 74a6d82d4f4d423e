"""What a keypoint detector would have said of a known body: MediaPipe's errors, made up.

Errors of one landmark last: a bias for the whole shot, noise that fades within a few frames, bursts in
which a landmark is lost, sides exchanged. What is hidden by the body itself, by an occluder or by the
picture's edge errs more and is said to be less sure. The 3D channel is flattened along the view, leans
with the shot and, from behind, is sometimes read as a front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.camera import Camera, looking_at
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.initial_pose import NAMES, SET, mark
from humanmotion.recovery.self_occlusion import hidden_by_body
from humanmotion.recovery.virtual_cameras import VirtualShot, faded
from humanmotion.rotations import rotvec_to_matrix

HIPS = (mark("left_hip"), mark("right_hip"))
_TORSO = ("shoulder", "hip")
_ENDS = ("wrist", "pinky", "index", "thumb", "ankle", "heel", "big_toe")
_LIMBS = (("elbow", "wrist", "pinky", "index", "thumb"), ("knee", "ankle", "heel", "big_toe"))
LASTING = {"burst": (5, 20), "swap": (3, 15)}
"""Frames at 30 fps."""


@dataclass(frozen=True)
class DetectorNoise:
    """How a detector errs; shares are of the person's height in the picture."""

    scale: float = 1.0
    """On every 2D error."""
    bias: float = 0.011
    """Of a landmark for a whole shot."""
    noise: tuple[float, float, float] = (0.005, 0.006, 0.009)
    """Of the torso, of limbs and head, of hands and feet."""
    keep: float = 0.85
    """Correlation of the noise from frame to frame at 30 fps."""
    burst_chance: float = 0.004
    """That a landmark goes astray in a frame, by `burst`."""
    burst: tuple[float, float] = (0.04, 0.10)
    swap_chance: float = 0.002
    """That a pair of limbs changes sides in a frame, seen from the back or the side."""
    hidden_factor: float = 2.5
    """On the noise of what is hidden."""
    occluder_chance: float = 0.3
    """That something stands before the person in a shot, for half a second to two."""
    missed_chance: float = 0.01
    flip_chance: float = 0.05
    """That in a shot a back is taken for a front."""
    depth: tuple[float, float] = (0.65, 1.1)
    """Factor on the 3D along the view."""
    lean_rad: tuple[float, float, float] = (0.11, 0.13, 0.05)
    """Standard deviations of how a shot's 3D is turned about the axes of the view."""
    bias3d: float = 0.03
    """Metres, of a landmark for a whole shot."""
    noise3d: float = 0.025
    """Metres."""


NONE = DetectorNoise(
    bias=0, noise=(0, 0, 0), burst_chance=0, swap_chance=0, occluder_chance=0, missed_chance=0,
    flip_chance=0, depth=(1, 1), lean_rad=(0, 0, 0), bias3d=0, noise3d=0,
)  # fmt: skip
"""A detector without error, but unsure of what the picture does not show."""


def another_detector(noise: DetectorNoise, generator: torch.Generator) -> DetectorNoise:
    """A detector that errs up to twice as much or half as much as `noise` in every respect, loses more
    to occluders and reads more backs as fronts."""
    u = (2 * torch.rand(9, generator=generator, device=generator.device) - 1).tolist()
    twice = [2.0**x for x in u]
    return replace(
        noise,
        scale=noise.scale * twice[0],
        bias=noise.bias * twice[1],
        burst_chance=noise.burst_chance * twice[2] ** 1.5,
        swap_chance=noise.swap_chance * twice[3] ** 1.5,
        occluder_chance=min(2 * noise.occluder_chance * twice[4], 1.0),
        flip_chance=min(1.5 * noise.flip_chance * twice[5], 1.0),
        depth=(1 - (1 - noise.depth[0]) * twice[6], noise.depth[1]),
        lean_rad=(
            noise.lean_rad[0] * twice[7],
            noise.lean_rad[1] * twice[7],
            noise.lean_rad[2] * twice[7],
        ),
        bias3d=1.25 * noise.bias3d * twice[8],
        noise3d=1.25 * noise.noise3d * twice[8],
    )


def watch(
    landmarks: Tensor,
    joints: Tensor,
    shots: Sequence[VirtualShot],
    *,
    fps: float,
    noise: DetectorNoise,
    generator: torch.Generator,
) -> Keypoints:
    """Keypoints of a body whose landmarks `(T, 33, 3)` and joints `(T, 55, 3)` are known, metres."""
    parts = [
        detect(landmarks[None, s.start : s.stop], joints[None, s.start : s.stop], s.camera, fps=fps,
               noise=noise, generator=generator)
        for s in shots
    ]  # fmt: skip
    xy, confidence, xyz = (torch.cat([p[i][0] for p in parts]) for i in range(3))
    times = torch.arange(len(xy), dtype=torch.float64) / fps
    camera = shots[0].camera
    return Keypoints(xy, confidence, times, SET, camera.width, camera.height, xyz)


def detect(
    landmarks: Tensor,
    joints: Tensor,
    camera: Camera,
    *,
    fps: float,
    noise: DetectorNoise,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels `(B, T, 33, 2)`, confidence `(B, T, 33)` and 3D `(B, T, 33, 3)` of `B` shots.

    Landmarks `(B, T, 33, 3)` and joints `(B, T, 55, 3)` in the world, a camera of `B * T` frames.
    """
    lead = landmarks.shape[:2]
    seen = camera.to_camera(landmarks.flatten(0, 1))
    body = camera.to_camera(joints.flatten(0, 1))
    xy = camera.project(landmarks.flatten(0, 1)).unflatten(0, lead)
    size = (xy.amax(-2) - xy.amin(-2)).amax(-1).clamp(min=8.0)
    hidden = hidden_by_body(seen, body).unflatten(0, lead)
    hidden = hidden | _occluded(xy, size, fps=fps, noise=noise, generator=generator)
    error = noise.scale * _error2d(hidden, fps=fps, noise=noise, generator=generator)
    shown = xy + error * size[..., None, None]
    xyz = _error3d(seen.unflatten(0, lead), fps=fps, noise=noise, generator=generator)
    away = facing_away(body).unflatten(0, lead)
    swapped = _swaps(away, fps=fps, noise=noise, generator=generator)
    back = (away > 0.3).float().mean(-1) > 0.5
    turned = back & (_uniform((len(back),), generator) < noise.flip_chance)
    swapped = swapped ^ turned[:, None, None]
    shown, xyz = exchanged(shown, swapped), exchanged(xyz, swapped)
    xyz = torch.where(turned[:, None, None, None], xyz * xyz.new_tensor((1.0, 1.0, -1.0)), xyz)
    confidence = _confidence(error, hidden, generator=generator)
    inside = ((shown >= 0) & (shown < shown.new_tensor((camera.width, camera.height)))).all(-1)
    confidence = torch.where(inside, confidence, 0.2 * confidence)
    there = (inside.float().mean(-1) > 0.25) & (seen[..., 2].amin(-1).unflatten(0, lead) > 0.1)
    there &= _uniform(tuple(lead), generator) >= noise.missed_chance
    keep = there[..., None]
    return shown * keep[..., None], confidence * keep, xyz * keep[..., None]


def _error2d(
    hidden: Tensor, *, fps: float, noise: DetectorNoise, generator: torch.Generator
) -> Tensor:
    """`(B, T, 33, 2)`, as shares of the person's height."""
    shape = (*hidden.shape, 2)
    at = generator.device
    sigma = torch.tensor([noise.noise[_group(n)] for n in NAMES], device=at)[:, None]
    wander = faded(shape, keep=noise.keep ** (30 / fps), generator=generator)
    bias = torch.randn(shape[0], 1, *shape[2:], generator=generator, device=at) * noise.bias
    factor = torch.where(hidden, noise.hidden_factor, 1.0)[..., None]
    begins = _uniform(tuple(hidden.shape), generator) < noise.burst_chance * 30 / fps
    astray, number = _lasting(begins, "burst", fps=fps, generator=generator)
    u = _uniform((2, *hidden.shape), generator)
    far = noise.burst[0] + (noise.burst[1] - noise.burst[0]) * u[0]
    angle = 2 * math.pi * u[1]
    jump = torch.stack((angle.cos(), angle.sin()), -1) * far[..., None]
    jump = jump.gather(1, number[..., None].expand(shape)) * astray[..., None]
    return (bias + sigma * wander) * factor + jump


def _group(name: str) -> int:
    part = name.split("_", 1)[-1]
    return 0 if part in _TORSO else 2 if part in _ENDS else 1


def _lasting(
    begins: Tensor, what: str, *, fps: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Frames `(B, T, ...)` bool within something that lasts from where it `begins`, and that frame."""
    low, high = (f * fps / 30 for f in LASTING[what])
    length = low + (high - low) * _uniform(tuple(begins.shape), generator)
    frames = torch.arange(begins.shape[1], device=begins.device)
    frames = frames.reshape(1, -1, *[1] * (begins.ndim - 2)).expand_as(begins)
    start = torch.where(begins, frames, -1).cummax(1).values
    length = length.gather(1, start.clamp(min=0))
    return (start >= 0) & (frames - start < length), start.clamp(min=0)


def _occluded(
    xy: Tensor, size: Tensor, *, fps: float, noise: DetectorNoise, generator: torch.Generator
) -> Tensor:
    """Landmarks `(B, T, 33)` behind something: a tenth to two fifths of the body, for a while."""
    count, frames = size.shape
    u = _uniform((5, count, 1), generator)
    length = fps * (0.5 + 1.5 * u[1])
    first = (frames - length).clamp(min=1) * u[2]
    time = torch.arange(frames, device=xy.device)
    when = (u[0] < noise.occluder_chance) & (time >= first) & (time < first + length)
    share = 0.1 + 0.3 * u[3]
    low = xy[..., 1].amin(-1) + (1 - share) * u[4] * size
    height = xy[..., 1]
    return (
        when[..., None] & (height >= low[..., None]) & (height <= (low + share * size)[..., None])
    )


def _error3d(
    seen: Tensor, *, fps: float, noise: DetectorNoise, generator: torch.Generator
) -> Tensor:
    """Metres about the middle of the hips, in the axes of a camera that looks at the person."""
    count, at = len(seen), generator.device
    middle = seen[..., list(HIPS), :].mean(-2, keepdim=True)
    relative = (seen - middle) @ looking_at(middle[..., 0, :])
    low, high = noise.depth
    flat = low + (high - low) * _uniform((count, 1, 1), generator)
    relative = torch.cat((relative[..., :2], relative[..., 2:] * flat[..., None]), -1)
    lean = torch.randn(count, 1, 3, generator=generator, device=at)
    lean = lean * lean.new_tensor(noise.lean_rad)
    wander = faded(tuple(relative.shape), keep=noise.keep ** (30 / fps), generator=generator)
    bias = torch.randn(count, 1, *relative.shape[2:], generator=generator, device=at)
    wrong = noise.bias3d * bias + noise.noise3d * wander
    return relative @ rotvec_to_matrix(lean).mT + wrong


def _swaps(away: Tensor, *, fps: float, noise: DetectorNoise, generator: torch.Generator) -> Tensor:
    """Landmarks `(B, T, 33)` bool whose sides are exchanged in bursts: arms, or legs."""
    own = torch.tensor([[n.endswith(limb) for n in NAMES] for limb in _LIMBS], device=away.device)
    chance = noise.swap_chance * 30 / fps
    begins = _uniform((*away.shape, len(_LIMBS)), generator) < chance
    begins &= (away > -0.5)[..., None]
    during, _ = _lasting(begins, "swap", fps=fps, generator=generator)
    return (during[..., None] & own).any(-2)


def exchanged(values: Tensor, where: Tensor) -> Tensor:
    """Landmarks `(..., 33, n)` that take their twin's values on the other side `where` `(..., 33)`."""
    return torch.where(where[..., None], values[..., list(_TWINS), :], values)


def _twin(name: str) -> int:
    side = {"left": "right", "right": "left"}.get(name.split("_")[0], "")
    return NAMES.index("_".join([side, *name.split("_")[1:]])) if side else NAMES.index(name)


_TWINS = tuple(_twin(name) for name in NAMES)


def facing_away(body: Tensor) -> Tensor:
    """Cosine `(N)` between where a body `(N, 55, 3)` in camera axes faces and the view: 1 is a back."""
    across = body[:, 16] - body[:, 17]
    ahead = torch.linalg.cross(across, body[:, 12] - body[:, 0])
    ahead = torch.nn.functional.normalize(ahead, dim=-1)
    return (ahead * torch.nn.functional.normalize(body[:, 0], dim=-1)).sum(-1)


def _confidence(error: Tensor, hidden: Tensor, *, generator: torch.Generator) -> Tensor:
    """In (0, 1), falling with the error, but not told by it alone."""
    luck = torch.randn(tuple(hidden.shape), generator=generator, device=generator.device)
    away = error.norm(dim=-1)
    return torch.sigmoid(
        torch.where(hidden, -1.0 - 10 * away + 2 * luck, 5.0 - 40 * away + 1.8 * luck)
    )


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)
