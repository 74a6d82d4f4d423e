"""The numbers a pose prior sees: every joint's turn away from its mean, in its own spread.

A pose is 54 joints (all of SMPL-X but the pelvis) and 10 expression coefficients. A joint is the
rotation vector from its mean rotation, which real joints never wrap; each number is divided by its
standard deviation, so that one noise level means the same everywhere. A *token* is a joint, or the
expression as a whole: 55 in all, of 3 and 10 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.motion import JOINTS, MIRROR_JOINTS
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

TOKENS = 55
"""54 joints (SMPL-X joint `i + 1` is token `i`), then the expression."""
EXPRESSION = 10
EXPRESSION_TOKEN = TOKENS - 1
SIZE = 3 * (JOINTS - 1) + EXPRESSION
"""Numbers in a state."""
BODY = slice(0, 21)
"""Tokens of the 21 body joints."""
JAW = slice(21, 22)
EYES = slice(22, 24)
LEFT_HAND = slice(24, 39)
RIGHT_HAND = slice(39, 54)
PARTS = {"body": BODY, "jaw": JAW, "eyes": EYES, "left_hand": LEFT_HAND, "right_hand": RIGHT_HAND}
"""Runs of joint tokens; the expression is a token of its own."""
TOKEN_NAMES: tuple[str, ...] = (*SMPLX_JOINTS[1:], "expression")
TOKEN_OF: tuple[int, ...] = (
    *(i // 3 for i in range(3 * (JOINTS - 1))),
    *(EXPRESSION_TOKEN,) * EXPRESSION,
)
"""Token of each of the numbers of a state."""
MIRROR_TOKENS: tuple[int, ...] = (*(j - 1 for j in MIRROR_JOINTS[1:]), EXPRESSION_TOKEN)
MIN_SPREAD = 0.05
"""Radians (3 degrees): a joint that hardly moves in the data is not certain to a hair."""
MEAN_STEPS = 8


@dataclass(frozen=True)
class PoseSpace:
    """Joint rotations to whitened numbers and back."""

    mean: Tensor
    """Mean rotation of each joint `(54, 3, 3)`."""
    spread: Tensor
    """Standard deviation of each number `(172)`: radians, then expression units."""

    @classmethod
    def fit(cls, rotations: Tensor, expression: Tensor, *, weights: Tensor) -> PoseSpace:
        """From poses `(N, 54, 3, 3)`, `expression` `(N, 10)` and token weights `(N, 55)`.

        The mean is Frechet's; a token's weight is 0 where it was not recorded. Raises UsageError
        for a token that no pose has.
        """
        total = weights.sum(0)
        if bool((total <= 0).any()):
            missing = [TOKEN_NAMES[int(i)] for i in (total <= 0).nonzero()[:, 0]]
            raise UsageError(f"no pose has {', '.join(missing)}; give data that does")
        joint = weights[:, :EXPRESSION_TOKEN, None]
        mean = torch.eye(3, dtype=rotations.dtype).expand(JOINTS - 1, 3, 3)
        for _ in range(MEAN_STEPS):
            away = matrix_to_rotvec(mean.mT @ rotations)
            step = (joint * away).sum(0) / total[:EXPRESSION_TOKEN, None]
            mean = mean @ rotvec_to_matrix(step)
        away = matrix_to_rotvec(mean.mT @ rotations)
        turned = ((joint * away**2).sum(0) / total[:EXPRESSION_TOKEN, None]).sqrt()
        faces = weights[:, EXPRESSION_TOKEN, None]
        shown = ((faces * expression**2).sum(0) / total[EXPRESSION_TOKEN]).sqrt()
        spread = torch.cat((turned.clamp(min=MIN_SPREAD).flatten(), shown.clamp(min=1e-3)))
        return cls(mean.float(), spread.float())

    def to_state(self, rotations: Tensor, expression: Tensor | None = None) -> Tensor:
        """Local rotations `(..., 55, 3, 3)` (the root's is not looked at) to states `(..., 172)`."""
        turned = matrix_to_rotvec(self.mean.mT @ rotations[..., 1:, :, :]).flatten(-2)
        if expression is None:
            expression = turned.new_zeros(EXPRESSION).expand(*turned.shape[:-1], EXPRESSION)
        return torch.cat((turned, expression), -1) / self.spread

    def to_rotations(self, state: Tensor, root: Tensor | None = None) -> Tensor:
        """States `(..., 172)` to local rotations `(..., 55, 3, 3)`; `root` `(..., 3, 3)` or none."""
        turned = (state * self.spread)[..., : 3 * EXPRESSION_TOKEN].unflatten(-1, (-1, 3))
        joints = self.mean @ rotvec_to_matrix(turned)
        if root is None:
            root = torch.eye(3, dtype=joints.dtype, device=joints.device)
        return torch.cat((root.expand(*joints.shape[:-3], 3, 3)[..., None, :, :], joints), -3)

    def to_expression(self, state: Tensor) -> Tensor:
        """Expression coefficients `(..., 10)` of states `(..., 172)`."""
        return (state * self.spread)[..., 3 * EXPRESSION_TOKEN :]

    def to(self, device: torch.device | str) -> PoseSpace:
        """The same space with its tensors on `device`."""
        return PoseSpace(self.mean.to(device), self.spread.to(device))


def spread_tokens(values: Tensor) -> Tensor:
    """A value per token `(..., 55)` given to each of its numbers `(..., 172)`."""
    return values.index_select(-1, _token_of(values.device))


@cache
def _token_of(device: torch.device) -> Tensor:
    # A list as an index would be copied to the device at every call.
    return torch.tensor(TOKEN_OF, device=device)


def token_mask(*names: str) -> Tensor:
    """`(55)` bool of the named joints, parts (`body`, `left_hand`, ...) or `expression`.

    Raises UsageError for a name that is none of these.
    """
    mask = torch.zeros(TOKENS, dtype=torch.bool)
    for name in names:
        if name in PARTS:
            mask[PARTS[name]] = True
        elif name in TOKEN_NAMES:
            mask[TOKEN_NAMES.index(name)] = True
        else:
            raise UsageError(
                f"joint {name!r} given; known are {', '.join(PARTS)} and the joints of SMPL-X"
            )
    return mask
