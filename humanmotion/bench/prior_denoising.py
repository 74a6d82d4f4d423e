"""Denoising of windows of test motion: every prior in one solver, and the published loop.

22 joints of the default body, root at rest, with independent noise on every coordinate, as published
(DPoser, motion denoising). Errors are millimetres, and millimetres per frame^2 for accelerations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.bench.prior_methods import Method
from humanmotion.body import BodyModel
from humanmotion.body.carried_points import joint_points
from humanmotion.jobs.prior_data import PoseSet, windows
from humanmotion.metrics.smoothness import acceleration_error
from humanmotion.prior.neighbours import Neighbours
from humanmotion.prior.problem import Chain, Places, Poses
from humanmotion.prior.published import PublishedPrior
from humanmotion.prior.published_solver import DENOISING, Fit, denoise_motion
from humanmotion.prior.solver import Settings, look, solve
from humanmotion.prior.space import PoseSpace
from humanmotion.rotations import rotvec_to_matrix

SEED = 0
FRAMES, FPS = 60, 30.0
JOINTS = tuple(range(22))
STEP = 0.03
"""Metres a frame: scale of the term on neighbouring frames, for every prior and noise; of 7.5, 15 and
30 mm that with which the published prior does best on val."""
OUTLIERS, OUTLIER_METRES = 0.05, 0.5


@dataclass(frozen=True)
class Errors:
    """Of one method at one noise."""

    mpjpe: Tensor
    """`(C)`, one for each window, mm."""
    acceleration: Tensor
    """`(C)`, mm/frame^2."""


@dataclass(frozen=True)
class Denoising:
    """Windows of motion whose joints are seen with noise."""

    body: BodyModel
    joints: Tensor
    """`(C, 60, 22, 3)`."""
    groups: tuple[str, ...]
    """`set/clip` that each of the C windows is from."""
    space: PoseSpace
    """Its mean pose is where every method begins."""

    @classmethod
    def draw(cls, poses: PoseSet, *, clips: int, space: PoseSpace) -> Denoising:
        """Windows drawn from `poses` without overlap."""
        body = BodyModel.load()
        index = windows(poses, frames=FRAMES, stride=FRAMES)
        order = torch.randperm(len(index), generator=torch.Generator().manual_seed(SEED))[:clips]
        chosen = index[order]
        rotations = poses[chosen.flatten()].rotations
        root = torch.eye(3).expand(len(rotations), 1, 3, 3)
        joints = body.joints(torch.cat((root, rotations), 1))[:, : len(JOINTS)]
        groups = tuple(poses.names[int(i)] for i in poses.clip[chosen[:, 0]])
        return cls(body, joints.unflatten(0, (-1, FRAMES)), groups, space)

    def seen(self, sigma: float) -> Tensor:
        """`(C, 60, 22, 3)` with noise, metres."""
        generator = torch.Generator().manual_seed(SEED)
        return self.joints + sigma * torch.randn(self.joints.shape, generator=generator)

    def with_outliers(self, seen: Tensor) -> Tensor:
        """Some joints thrown half a metre off in random directions."""
        generator = torch.Generator().manual_seed(SEED + 1)
        way = torch.nn.functional.normalize(torch.randn(seen.shape, generator=generator), dim=-1)
        thrown = torch.rand(seen.shape[:-1], generator=generator) < OUTLIERS
        return torch.where(thrown[..., None], seen + OUTLIER_METRES * way, seen)

    def solved(
        self, method: Method, seen: Tensor, *, sigma: float, neighbours: bool = False
    ) -> Errors:
        """Of the likeliest poses of all windows at once; with a term on neighbouring frames or not."""
        chain = Chain(joint_points(self.body, JOINTS, joints=JOINTS, betas=torch.zeros(10)),
                      method.space)  # fmt: skip
        flat = seen.flatten(0, 1)
        start = Poses(method.begin(self.space, len(flat)), torch.eye(3).expand(len(flat), 3, 3),
                      self.joints[0, 0, 0].expand(len(flat), 3))  # fmt: skip
        tie = Neighbours(FRAMES, STEP) if neighbours else None
        settings = Settings(root_known=True, place_known=True, neighbours=tie)
        places = [Places(flat, torch.full(flat.shape[:2], sigma))]
        expect = method.expects(FRAMES, lambda: look(chain, places, start, settings=settings))
        found = solve(chain, places, expect, start=start, levels=settings.levels,
                      settings=settings)  # fmt: skip
        return self.errors(self.body.joints(method.space.to_rotations(found.state)))

    def published(self, prior: PublishedPrior, seen: Tensor, *, noise_mm: int) -> Errors:
        """Of the published loop with its constants for this noise: Adam from the mean pose."""
        return self.descended(prior, seen, fit=DENOISING[noise_mm])

    def descended(self, prior: PublishedPrior, seen: Tensor, *, fit: Fit) -> Errors:
        """Of the published loop with any constants."""
        found = denoise_motion(
            prior, seen, self._points, start=prior.mean_pose, fit=fit,
            generator=torch.Generator().manual_seed(SEED),
        )  # fmt: skip
        return self.errors(self._points(found.flatten(0, 1))[0])

    def errors(self, joints: Tensor) -> Errors:
        """Of `joints` `(C * 60, J, 3)`."""
        found = joints[:, : len(JOINTS)].unflatten(0, (-1, FRAMES))
        away = (found - self.joints).norm(dim=-1).mean((1, 2))
        shaken = [acceleration_error(a, b, fps=FPS).mean() / FPS**2
                  for a, b in zip(found, self.joints, strict=True)]  # fmt: skip
        return Errors(1000 * away, 1000 * torch.stack(shaken))

    def _points(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Joints of raw poses; the surface of the published temporal term is them too."""
        turned = rotvec_to_matrix(pose.unflatten(-1, (21, 3)))
        eye = torch.eye(3).expand(len(pose), 1, 3, 3)
        rest = torch.eye(3).expand(len(pose), 33, 3, 3)
        joints = self.body.joints(torch.cat((eye, turned, rest), 1))[:, : len(JOINTS)]
        return joints, joints
