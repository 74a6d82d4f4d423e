"""What generated features say twice of the root, brought together.

Where the root is and how it is turned is written in every frame, and so is its change to the next one.
Places are told to a share of the metres that people walk: read frame by frame they shake. Changes are
told to a share of a step, but add up to drift. So fast movement is that of the changes, and slow
movement that of the places.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from humanmotion.generation.features import (
    ORIENT,
    POSITIONS,
    STEP,
    TRANSL,
    TURN,
    VELOCITIES,
    decode,
    encode,
    rowwise_matrix,
    rowwise_sixd,
)
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

WIDTH = 10.0
"""Frames at 20 fps of the Gaussian that parts slow movement from fast: half a second."""
GROUNDING = 30
"""Frames over which a motion comes back to the floor."""
FEET = [10, 11]
FLESH = 0.05
"""Metres that any other joint is above what it lies on, at least about: ankles stand higher."""
REACH, STANDING = 20, 0.4
"""Frames to either side that say where the floor is, and the quantile of heights that does; chosen on
val and train."""
EASED = 15
"""Frames over which a step between what is held and what follows fades."""
_BEFORE = round(3 * WIDTH)


def reconciled(
    features: Tensor, *, rest: Tensor, held: int = 0, sure: Tensor | None = None
) -> Tensor:
    """Features `(..., T, 276)` whose root's places and changes say the same.

    The first `held` frames stay as they are; the others go on from the last of them, as it moves, and
    what steps the root's speed and the local poses make there fade. Without any the root is where the
    first frame says, and local poses stay. `sure` `(..., T, 276)` in [0, 1] says how well places were
    known before anything was made: so far the root is where they say. `rest` `(55, 3)` are the body's
    joints at rest. Raises UsageError for what `decode` refuses.
    """
    own = features[..., max(held - 1, 0) :, :]
    own = _going_on(own) if held else own
    rotations, placed = decode(own)
    turned, walked = decode(own, decoding="integrated")
    root, added = rotations[..., 0, :, :], turned[..., 0, :, :]
    # Behind what is held a correction swells up: to begin at once would be a step in speed.
    share = 1 - _fading(own.shape[-2], own.device)[:, None] if held else 1.0
    lean = _slow(_unwrapped(matrix_to_rotvec(root @ added.mT)))
    root = rotvec_to_matrix(share * lean) @ added
    way = walked + share * _slow(placed - walked)
    if sure is not None:
        known = sure[..., max(held - 1, 0) :, :]
        lean = matrix_to_rotvec(rotations[..., 0, :, :] @ root.mT)
        root = rotvec_to_matrix(known[..., ORIENT].mean(-1, keepdim=True) * lean) @ root
        way = torch.lerp(way, placed, known[..., TRANSL])
    local = rotations[..., 1:, :, :]
    if held > 1:
        local = _eased(local, decode(features[..., held - 2 : held, :])[0][..., 1:, :, :])
    poses = torch.cat((root[..., None, :, :], local), -3)
    # One pose more, by the last changes, of which encoding takes those of the root.
    last = rowwise_matrix(own[..., -1:, TURN]) @ root[..., -1:, :, :]
    after = torch.cat((last[..., None, :, :], local[..., -1:, :, :, :]), -3)
    way = torch.cat((way, way[..., -1:, :] + own[..., -1:, STEP]), -2)
    made = encode(torch.cat((poses, after), -4), way, rest=rest)
    made[..., -1, VELOCITIES] = own[..., -1, VELOCITIES]
    return torch.cat((features[..., :held, :], made[..., min(held, 1) :, :]), -2)


def grounded(features: Tensor, *, sole: Tensor, held: int) -> Tensor:
    """Features `(T, 276)` of which something comes to the floor, and nothing deeper, behind those held.

    In three seconds a foot stands, or what lies lies: what is left of its height then would add up from
    window to window. It eases in over GROUNDING frames, of which there must be more; `sole` `(2,)` is
    the height of the foot joints above the soles.
    """
    lowest = _lowest(features[held:], sole=sole)
    x = (torch.arange(1, len(lowest) + 1, device=features.device) / GROUNDING).clamp(max=1)
    share = x * x * (3 - 2 * x)
    level = lowest[share == 1].amin()
    return _raised(features, functional.pad(-level * share, (held, 0)))


def levelled(features: Tensor, *, sole: Tensor) -> Tensor:
    """Features `(T, 276)` of a motion on one floor, which is where its lowest parts usually are.

    Heights are told to a share of how far people go up and down, standing feet so to some centimetres.
    Within two seconds something stands or lies most of the time: the quantile STANDING of how high the
    lowest part is becomes the floor. A jump is shorter than that; stairs are flattened. At both ends,
    where only one side says where the floor is, a slope is levelled less well.
    """
    lowest = _lowest(features, sole=sole)
    around = functional.pad(lowest[None], (REACH, REACH), value=torch.nan)[0]
    usual = around.unfold(0, 2 * REACH + 1, 1).nanquantile(STANDING, -1)
    return _raised(features, -_smooth(usual))


def _lowest(features: Tensor, *, sole: Tensor) -> Tensor:
    """Height `(T)` of what is lowest of the soles and of the flesh about all other joints."""
    heights = features[:, POSITIONS].unflatten(-1, (-1, 3))[..., 2] - FLESH
    heights[:, FEET] += FLESH - sole
    return heights.amin(-1)


def _raised(features: Tensor, shift: Tensor) -> Tensor:
    """Features `(T, 276)` higher by `shift` `(T)` metres."""
    out = features.clone()
    out[:, [TRANSL.stop - 1, *range(POSITIONS.start + 2, POSITIONS.stop, 3)]] += shift[:, None]
    steps = functional.pad(shift.diff(), (0, 1))
    out[:, [STEP.stop - 1, *range(VELOCITIES.start + 2, VELOCITIES.stop, 3)]] += steps[:, None]
    return out


def _going_on(own: Tensor) -> Tensor:
    """Features `(..., T, 276)` whose root goes on as in the first frame; what differs fades in."""
    if own.shape[-2] < 2:
        return own
    out, share = own.clone(), _fading(own.shape[-2] - 1, own.device)[:, None]
    out[..., 1:, STEP] += share * (own[..., :1, STEP] - own[..., 1:2, STEP])
    turns = rowwise_matrix(own[..., TURN])
    gap = matrix_to_rotvec(turns[..., :1, :, :] @ turns[..., 1:2, :, :].mT)
    out[..., 1:, TURN] = rowwise_sixd(rotvec_to_matrix(share * gap) @ turns[..., 1:, :, :])
    return out


def _fading(frames: int, device: torch.device) -> Tensor:
    """`(T)`: from 1 to 0 over EASED frames."""
    x = (torch.arange(frames, device=device) / EASED).clamp(max=1)
    return 1 - x * x * (3 - 2 * x)


def _eased(local: Tensor, before: Tensor) -> Tensor:
    """Local rotations `(..., T, 21, 3, 3)`, the first of which is the last of the two `before`, without
    a step: what the next one is off from going on as before fades over EASED frames."""
    if local.shape[-4] < 2:
        return local
    on = before[..., 1, :, :, :] @ before[..., 0, :, :, :].mT @ before[..., 1, :, :, :]
    gap = matrix_to_rotvec(local[..., 1, :, :, :].mT @ on)
    share = _fading(local.shape[-4] - 1, local.device)
    turns = rotvec_to_matrix(share[:, None, None] * gap[..., None, :, :])
    return torch.cat((local[..., :1, :, :, :], local[..., 1:, :, :, :] @ turns), -4)


def _unwrapped(turns: Tensor) -> Tensor:
    """Rotation vectors `(..., T, 3)` of a lean that grows past half a turn without starting again."""
    found = [turns[..., :1, :]]
    for here in turns[..., 1:, :].split(1, -2):
        angle = here.norm(dim=-1, keepdim=True).clamp(min=1e-9)
        whole = torch.round(
            ((found[-1] - here) * here).sum(-1, keepdim=True) / angle / (2 * torch.pi)
        )
        found.append(here + 2 * torch.pi * whole * here / angle)
    return torch.cat(found, -2)


def _slow(gap: Tensor) -> Tensor:
    """Gaps `(..., T, n)` of which the first is 0, smoothed over time; that one stays 0.

    Before it a gap goes on as in a mirror at a point. Each frame gets the line that fits best around
    it (Cleveland 1979), so that an even drift stays as it is at the end too.
    """
    frames = gap.shape[-2]
    number = torch.arange(1, _BEFORE + 1, device=gap.device).clamp(max=frames - 1)
    before = -gap[..., number.flip(0), :]
    return _lines(frames, gap.device).to(gap) @ torch.cat((before, gap), -2)


def _smooth(line: Tensor) -> Tensor:
    """A line `(T)` under a Gaussian of WIDTH frames, less of it where it ends."""
    at = torch.arange(len(line), dtype=line.dtype, device=line.device)
    weight = torch.exp(-0.5 * ((at - at[:, None]) / WIDTH) ** 2)
    return weight @ line / weight.sum(-1)


@lru_cache(maxsize=16)
def _lines(frames: int, device: torch.device) -> Tensor:
    """`(T, _BEFORE + T)`: what the line around each frame takes of the frames from before the first."""
    at = torch.arange(-_BEFORE, frames, device=device, dtype=torch.float64)
    away = at - torch.arange(frames, device=device, dtype=torch.float64)[:, None]
    weight = torch.exp(-0.5 * (away / WIDTH) ** 2)
    sums = [(weight * away**k).sum(-1, keepdim=True) for k in range(3)]
    over = (sums[0] * sums[2] - sums[1] ** 2).clamp(min=1e-9)
    return weight * (sums[2] - sums[1] * away) / over
