"""What a keypoint detector would have said of a known body: MediaPipe's errors, made up.

Errors of one landmark last: a bias for the whole shot, noise that fades within a few frames, bursts in
which a limb is lost, sides exchanged. What is hidden by the body itself, by an occluder or by the
picture's edge errs more and is said to be less sure. The 3D channel is flattened along the view, leans
with the shot and, from behind, is sometimes read as a front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.keypoints import Keypoints
from humanmotion.recovery.self_occlusion import hidden_by_body
from humanmotion.recovery.virtual_cameras import VirtualShot
from humanmotion.rotations import between_vectors, rotvec_to_matrix

SET = "mediapipe_33"
NAMES = JOINT_SETS[SET]
TORSO = ("shoulder", "hip")
ENDS = ("wrist", "pinky", "index", "thumb", "ankle", "heel", "big_toe")
PAIRS = [(i, NAMES.index(n.replace("left", "right"))) for i, n in enumerate(NAMES) if "left" in n]
LIMBS = (("shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
         ("hip", "knee", "ankle", "heel", "big_toe"))  # fmt: skip


@dataclass(frozen=True)
class DetectorNoise:
    """How a detector errs; shares are of the person's height in the picture."""

    scale: float = 1.0
    """On every 2D error."""
    bias: float = 0.006
    noise: tuple[float, float, float] = (0.008, 0.012, 0.018)
    """Of the torso, of limbs, of hands and feet."""
    keep: float = 0.85
    """Correlation of the noise from frame to frame at 30 fps."""
    burst_chance: float = 0.004
    """That a landmark goes astray in a frame, for 5 to 20 frames, by `burst`."""
    burst: tuple[float, float] = (0.04, 0.10)
    swap_chance: float = 0.003
    """That a pair of limbs changes sides in a frame, seen from the back or the side."""
    hidden_factor: float = 2.5
    """On the noise of what is hidden."""
    occluder_chance: float = 0.3
    """That something stands before the person in a shot, for half a second to two."""
    missed_chance: float = 0.01
    flip_chance: float = 0.05
    """That a shot's 3D (and sides) take a back for a front."""
    depth: tuple[float, float] = (0.8, 1.0)
    """Factor on the 3D along the view."""
    tilt_rad: float = math.radians(12.0) / 1.645
    """Standard deviation of how a shot's 3D leans: 12 degrees in nine shots of ten."""
    noise3d: float = 0.03
    """Metres."""


NONE = DetectorNoise(0, 0, (0, 0, 0), 0.85, 0, (0, 0), 0, 1, 0, 0, 0, (1, 1), 0, 0)
"""A detector without error, but for what the picture does not show."""


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
        _shot(landmarks[s.start : s.stop], joints[s.start : s.stop], s.camera, fps=fps, noise=noise,
              generator=generator)
        for s in shots
    ]  # fmt: skip
    xy, confidence, xyz = (torch.cat([p[i] for p in parts]) for i in range(3))
    times = torch.arange(len(xy), dtype=torch.float64) / fps
    camera = shots[0].camera
    return Keypoints(xy, confidence, times, SET, camera.width, camera.height, xyz)


def _shot(
    landmarks: Tensor,
    joints: Tensor,
    camera: Camera,
    *,
    fps: float,
    noise: DetectorNoise,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    seen, body = camera.to_camera(landmarks), camera.to_camera(joints)
    xy = camera.project(landmarks)
    size = (xy.amax(1) - xy.amin(1)).amax(-1).clamp(min=8.0)
    hidden = hidden_by_body(seen, body) | _occluded(xy, size, fps, noise, generator)
    error = _error2d(len(xy), fps=fps, noise=noise, hidden=hidden, generator=generator)
    shown = xy + error * size[:, None, None] * noise.scale
    xyz = _error3d(seen, camera, noise=noise, fps=fps, generator=generator)
    swapped = _swaps(body, fps=fps, noise=noise, generator=generator)
    shown, xyz = _exchanged(shown, swapped), _exchanged(xyz, swapped)
    if _back_share(body) > 0.5 and _uniform(generator) < noise.flip_chance:
        everywhere = torch.ones_like(swapped)
        shown, xyz = _exchanged(shown, everywhere), _exchanged(xyz, everywhere)
        xyz = xyz * torch.tensor((1.0, 1.0, -1.0))
    confidence = _confidence(error * noise.scale, hidden, generator=generator)
    width, height = torch.tensor(camera.width), torch.tensor(camera.height)
    inside = ((shown >= 0) & (shown < torch.stack((width, height)))).all(-1)
    confidence = torch.where(inside, confidence, 0.2 * confidence)
    there = (inside.float().mean(-1) > 0.25) & (seen[:, :, 2].amin(-1) > 0.1)
    there &= torch.rand(len(xy), generator=generator) >= noise.missed_chance
    keep = there[:, None]
    return shown * keep[..., None], confidence * keep, xyz * keep[..., None]


def _error2d(
    frames: int, *, fps: float, noise: DetectorNoise, hidden: Tensor, generator: torch.Generator
) -> Tensor:
    """`(T, 33, 2)`, as shares of the person's height."""
    lead = (frames, len(NAMES), 2)
    sigma = torch.tensor([noise.noise[_group(n)] for n in NAMES])[:, None]
    wander = faded(lead, keep=noise.keep ** (30 / fps), generator=generator)
    factor = torch.where(hidden, noise.hidden_factor, 1.0)[..., None]
    bias = noise.bias * torch.randn(1, *lead[1:], generator=generator)
    return (bias + sigma * wander) * factor + _bursts(lead, noise, fps, generator)


def _group(name: str) -> int:
    part = name.split("_", 1)[-1]
    return 0 if part in TORSO else 2 if part in ENDS else 1


def faded(shape: tuple[int, ...], *, keep: float, generator: torch.Generator) -> Tensor:
    """Noise of unit variance whose values remember `keep` of the last frame's (first dimension)."""
    fresh = torch.randn(shape, generator=generator)
    out = [fresh[0]]
    for new in fresh[1:]:
        out.append(keep * out[-1] + math.sqrt(1 - keep**2) * new)
    return torch.stack(out)


def _bursts(
    lead: tuple[int, ...], noise: DetectorNoise, fps: float, generator: torch.Generator
) -> Tensor:
    out = torch.zeros(lead)
    begins = torch.rand(lead[:2], generator=generator) < noise.burst_chance * 30 / fps
    for frame, landmark in begins.nonzero().tolist():
        length = int(fps / 30 * (5 + 15 * _uniform(generator)))
        far = noise.burst[0] + (noise.burst[1] - noise.burst[0]) * _uniform(generator)
        angle = 2 * math.pi * _uniform(generator)
        out[frame : frame + length, landmark] += far * torch.tensor(
            (math.cos(angle), math.sin(angle))
        )
    return out


def _occluded(
    xy: Tensor, size: Tensor, fps: float, noise: DetectorNoise, generator: torch.Generator
) -> Tensor:
    """Landmarks `(T, 33)` behind something that hides a tenth to two fifths of the body for a while."""
    out = torch.zeros(xy.shape[:2], dtype=torch.bool)
    if _uniform(generator) >= noise.occluder_chance:
        return out
    length = int(fps * (0.5 + 1.5 * _uniform(generator)))
    first = int(max(len(xy) - length, 1) * _uniform(generator))
    when = slice(first, first + length)
    share = 0.1 + 0.3 * _uniform(generator)
    low = xy[..., 1].amin(-1) + (1 - share) * _uniform(generator) * size
    out[when] = ((xy[..., 1] >= low[:, None]) & (xy[..., 1] <= (low + share * size)[:, None]))[when]
    return out


def _error3d(
    seen: Tensor, camera: Camera, *, noise: DetectorNoise, fps: float, generator: torch.Generator
) -> Tensor:
    """Metres about the middle of the hips, in the axes of a camera that looks at the person."""
    hips = [NAMES.index("left_hip"), NAMES.index("right_hip")]
    middle = seen[:, hips].mean(1, keepdim=True)
    relative = (seen - middle) @ looking_at(middle[:, 0])
    low, high = noise.depth
    flat = torch.tensor((1.0, 1.0, low + (high - low) * _uniform(generator)))
    lean = rotvec_to_matrix(noise.tilt_rad * torch.randn(3, generator=generator))
    wander = faded(tuple(relative.shape), keep=noise.keep ** (30 / fps), generator=generator)
    return (relative * flat) @ lean.mT + noise.noise3d * wander


def looking_at(place: Tensor) -> Tensor:
    """Rotation `(T, 3, 3)`, camera axes from those of a camera that looks at `place` `(T, 3)`."""
    ahead = torch.tensor((0.0, 0.0, 1.0)).expand_as(place)
    return between_vectors(ahead, place)


def _swaps(
    body: Tensor, *, fps: float, noise: DetectorNoise, generator: torch.Generator
) -> Tensor:
    """Landmarks `(T, 33)` bool whose sides are exchanged in bursts: arms, or legs."""
    out = torch.zeros(len(body), len(NAMES), dtype=torch.bool)
    risky = _facing_away(body) > -0.5
    for limb in LIMBS:
        own = torch.tensor([any(n.endswith(part) for part in limb) for n in NAMES])
        begins = torch.rand(len(body), generator=generator) < noise.swap_chance * 30 / fps
        for frame in (begins & risky).nonzero()[:, 0].tolist():
            length = int(fps / 30 * (3 + 12 * _uniform(generator)))
            out[frame : frame + length] ^= own
    return out


def _exchanged(values: Tensor, where: Tensor) -> Tensor:
    order = list(range(len(NAMES)))
    for left, right in PAIRS:
        order[left], order[right] = right, left
    return torch.where(where[..., None], values[:, order], values)


def _facing_away(body: Tensor) -> Tensor:
    """Cosine `(T)` between where a body `(T, 55, 3)` in camera axes faces and the view: 1 is a back."""
    across = body[:, 16] - body[:, 17]
    up = body[:, 12] - body[:, 0]
    ahead = torch.nn.functional.normalize(torch.linalg.cross(across, up), dim=-1)
    view = torch.nn.functional.normalize(body[:, 0], dim=-1)
    return (ahead * view).sum(-1)


def _back_share(body: Tensor) -> float:
    return float((_facing_away(body) > 0.3).float().mean())


def _confidence(error: Tensor, hidden: Tensor, *, generator: torch.Generator) -> Tensor:
    """In (0, 1), falling with the error, but not told by it alone."""
    said = 3.2 - 60 * error.norm(dim=-1) + 0.9 * torch.randn(hidden.shape, generator=generator)
    return torch.where(hidden, 0.2 + 0.3 * torch.sigmoid(said - 1.5), torch.sigmoid(said))


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))

