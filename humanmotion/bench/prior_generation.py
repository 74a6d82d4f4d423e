"""Poses drawn from nothing, beside real ones that no prior has seen.

What is compared. A source lacks some joints (CMU's collars, half its spines) and its files hold
stand-ins there, which tell real from sampled at a glance; gaps filled by chance, or masks copied onto
samples, tell which source a pose is of. So only joints count that most poses of both sides record, and
only real poses that record all of them; everything else rests, on both sides. A joint that its source
turns about one axis only (a hinge) is the same trap: its other numbers hardly vary, which no sampler
hits. Two releases of one trial differ by 1 to 3 degrees (README of cmu), so the classifier whose bar
counts sees both sides through 2 degrees of noise; what it finds without is printed too.

Who is real. The priors saw all of `train`, distinct poses and their mirror images, and so are the real
ones here. Held out are `val` and `test` together, in the shares that the sets have in train: of
rocketbox and mannequin_cc0 other actions by train's skeletons, of cmu, which keeps no window of a
training subject back, other subjects. How well real train poses pass for them is the limit. By `val`
all training stopped early, and sizes and constants of ours were chosen; by `test` nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from humanmotion.bench.report import Baseline, Direction, Row
from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.jobs.baseline_data import raw_numbers
from humanmotion.jobs.prior_data import PoseSet, distinct
from humanmotion.metrics.distributions import (
    mean_pair_distance,
    moment_distance,
    nearest_distances,
    overlap,
    pose_distances,
)
from humanmotion.metrics.two_sample import c2st_auc
from humanmotion.prior.baselines import Gaussian
from humanmotion.prior.model import PosePrior
from humanmotion.prior.published import PublishedPrior
from humanmotion.prior.sampling import sample
from humanmotion.prior.space import BODY, EXPRESSION_TOKEN, MIRROR_TOKENS
from humanmotion.rotations import matrix_to_rotvec, matrix_to_sixd, rotvec_to_matrix

SEED = 0
RECORDED_SHARE = 0.75
"""A joint counts that so many poses record, in train and in what is held out."""
BLUR_DEGREES = 2.0
NEIGHBOUR = 3
"""The `k` of precision, recall, density and coverage."""
LIMIT = "real train"
BODY_JOINTS = BODY.stop


def generation_rows(
    prior: PosePrior,
    splits: Mapping[str, PoseSet],
    rivals: Mapping[str, PublishedPrior],
    *,
    count: int,
) -> list[Row]:
    """Of `count` samples each: ours, the published recipe's, a Gaussian's and real train poses.

    `splits` are all frames of `train`, `val` and `test`. Of `rivals` those named `dp_SEED` count; they
    share the samples, in equal parts, since one takes 1000 network calls. Raises InputError for data
    in which too little is recorded, MissingExtraError without the `bench` extra.
    """
    real = Real.read(splits, count=count)
    calls = {}
    drawn, calls["ours"] = _counted([prior.networks["pose"]], lambda: draw_ours(prior, count))
    poses = {"ours": drawn}
    peers = [one for stem, one in rivals.items() if stem.rsplit("_", 1)[0] == "dp"]
    if peers:
        drawn, total = _counted(
            [one.network for one in peers], lambda: draw_published(peers, count)
        )
        poses["DP"], calls["DP"] = drawn, total // len(peers)
    poses["gaussian"] = draw_gaussian(real.train, real.joints, count)
    found = {name: real.judged(each, groups=_alone(len(each))) for name, each in poses.items()}
    chosen = real.some_train
    found[LIMIT] = real.judged(_body(chosen), groups=real.groups_of(chosen))
    rows = [row for name, one in found.items() for row in _rows(name, one, real)]
    return rows + real.rows() + _bars(found, calls)


def draw_ours(prior: PosePrior, count: int) -> Tensor:
    """Body rotations `(count, 21, 3, 3)` from our sampler."""
    states = sample(prior, count, seed=SEED)[:, 0]
    return prior.space.to_rotations(states)[:, 1 : 1 + BODY_JOINTS]


def draw_published(peers: list[PublishedPrior], count: int) -> Tensor:
    """Body rotations `(count, 21, 3, 3)` by the published sampler, in equal parts from `peers`."""
    parts = []
    for number, one in enumerate(peers):
        share = count // len(peers) + (number < count % len(peers))
        raw = one.sample(share, generator=torch.Generator().manual_seed(SEED + number))
        parts.append(rotvec_to_matrix(raw.unflatten(-1, (BODY_JOINTS, 3))))
    return torch.cat(parts)


def draw_gaussian(train: PoseSet, joints: Tensor, count: int) -> Tensor:
    """Body rotations `(count, 21, 3, 3)` of a full Gaussian of raw rotation vectors of `joints`."""
    counts = joints.repeat_interleave(3)
    raw, seen = raw_numbers(train, BODY)
    fitted = Gaussian.fit(raw[:, counts], seen[:, counts])
    noise = torch.randn(count, len(fitted.mean), generator=torch.Generator().manual_seed(SEED))
    drawn = torch.zeros(count, len(counts))
    drawn[:, counts] = fitted.mean + (noise * fitted.variances.sqrt()) @ fitted.axes.mT
    return rotvec_to_matrix(drawn.unflatten(-1, (BODY_JOINTS, 3)))


@dataclass(frozen=True)
class Found:
    """What was measured of one set of poses."""

    auc: Tensor
    """`(5)`, one for each fold."""
    plain: Tensor
    """The same without blur."""
    numbers: dict[str, float]


@dataclass(frozen=True)
class Real:
    """Real poses that others are held against; only what the `joints` do is looked at."""

    body: BodyModel
    joints: Tensor
    """Which of the 21 body joints count, bool."""
    train: PoseSet
    """Distinct poses."""
    held: PoseSet
    """As many as samples where there are enough, about half of them mirrored."""
    some_train: PoseSet
    """As many again."""
    near: Tensor
    """All train poses and their mirror images `(2 N, J, 3, 3)`."""
    held_near: Tensor
    """The same of what is held out."""

    @classmethod
    def read(cls, splits: Mapping[str, PoseSet], *, count: int) -> Real:
        """`count` poses of each side, by the shares of the sets in train."""
        train, *others = (p[distinct(p)] for p in (splits[s] for s in ("train", "val", "test")))
        held = _joined(*others)
        shares = [p.recorded[:, BODY].float().mean(0) for p in (train, held)]
        joints = torch.stack(shares).amin(0) > RECORDED_SHARE
        # A mirror image must record what the pose does.
        joints &= _mirrored_joints(joints)
        whole, other = (p[p.recorded[:, BODY][:, joints].all(-1)] for p in (train, held))
        if not bool(joints.any()) or not set(_sets(whole)) & set(_sets(other)):
            raise InputError("too few joints are recorded in both train and held-out poses")
        near, held_near = (torch.cat([_body(p)[:, joints], _body(p.mirrored())[:, joints]])
                           for p in (whole, other))  # fmt: skip
        shares_of = _shares(whole, like=other)
        return cls(BodyModel.load(), joints, train, _drawn(other, shares_of, count, seed=SEED),
                   _drawn(whole, shares_of, count, seed=SEED + 1), near, held_near)  # fmt: skip

    def groups_of(self, poses: PoseSet) -> Tensor:
        """A number for each clip `(N)`, the same however the clip was cut."""
        names = sorted({*self.train.names, *self.held.names})
        number = {name: i for i, name in enumerate(names)}
        return torch.tensor([number[poses.names[c]] for c in poses.clip.tolist()])

    def judged(self, poses: Tensor, *, groups: Tensor) -> Found:
        """Of body rotations `(N, 21, 3, 3)`."""
        held = _body(self.held)
        both = groups, self.groups_of(self.held)
        auc, plain = (c2st_auc(self.features(poses, blur=blur, seed=SEED),
                               self.features(held, blur=blur, seed=SEED + 1), groups=both)
                      for blur in (BLUR_DEGREES, 0.0))  # fmt: skip
        one, other = poses[:, self.joints], held[:, self.joints]
        within = overlap(pose_distances(other, other), pose_distances(one, one),
                         pose_distances(other, one), k=NEIGHBOUR)  # fmt: skip
        numbers = {
            "precision": within.precision,
            "recall": within.recall,
            "density": within.density,
            "coverage": within.coverage,
            "moments": moment_distance(_vectors(one), _vectors(self.near)),
            "dNN train": float(nearest_distances(one, self.near).mean()),
            "dNN held": float(nearest_distances(one, self.held_near).mean()),
            "APD": 100 * mean_pair_distance(self.placed(poses)),
        }
        return Found(auc, plain, numbers)

    def placed(self, poses: Tensor) -> Tensor:
        """Joints `(N, 22, 3)` of poses `(N, 21, 3, 3)`; the root and what does not count rest."""
        whole = torch.eye(3).repeat(len(poses), EXPRESSION_TOKEN + 1, 1, 1)
        whole[:, 1 : 1 + BODY_JOINTS][:, self.joints] = poses[:, self.joints]
        return self.body.joints(whole)[:, : 1 + BODY_JOINTS]

    def features(self, poses: Tensor, *, blur: float, seed: int) -> Tensor:
        """6-D rotations and joints `(N, F)` of poses `(N, 21, 3, 3)` with `blur` degrees of noise."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(*poses.shape[:-1], generator=generator)
        turned = poses @ rotvec_to_matrix(torch.deg2rad(blur * noise))
        joints = self.placed(turned)[:, 1:]
        return torch.cat((matrix_to_sixd(turned[:, self.joints]).flatten(1), joints.flatten(1)), 1)

    def rows(self) -> list[Row]:
        """What is compared, and how far held-out poses are from train's."""
        real = nearest_distances(_body(self.held)[:, self.joints], self.near)
        clips = len(set(self.groups_of(self.held).tolist()))
        what = f"joints that count; {len(self.held)} held-out poses of {clips} clips"
        return [
            Row("generate/joints", what, float(self.joints.sum()), ""),
            Row("generate/dNN train/held-out", _WHAT["dNN train"][0], float(real.mean()), "rad"),
        ]


_WHAT = {
    "precision": (f"share of samples near real held-out poses, k = {NEIGHBOUR}", ""),
    "recall": ("share of real held-out poses near samples; wide samples gain", ""),
    "density": ("held-out poses whose ball holds a sample, over k", ""),
    "coverage": ("share of held-out poses whose own ball holds a sample", ""),
    "moments": (
        "published FID: moments of raw axis-angle to train's; a Gaussian has them",
        "rad^2",
    ),
    "dNN train": ("mean angle to the nearest train pose", "rad"),
    "dNN held": ("mean angle to the nearest held-out pose", "rad"),
    "APD": ("mean distance of two samples' joints", "cm"),
}


def _rows(name: str, found: Found, real: Real) -> list[Row]:
    def text(auc: Tensor) -> str:
        return f"folds {float(auc.min()):.3f} to {float(auc.max()):.3f}"

    what = f"classifier AUC against {len(real.held)} held-out real poses"
    rows = [
        Row(f"generate/AUC/{name}", f"{what}, {BLUR_DEGREES:g} degrees of noise, {text(found.auc)}",
            float(found.auc.mean()), ""),
        Row(f"generate/AUC, no noise/{name}", f"{what}, {text(found.plain)}",
            float(found.plain.mean()), ""),
    ]  # fmt: skip
    return rows + [
        Row(f"generate/{key}/{name}", *(_WHAT[key][0], value, _WHAT[key][1]))
        for key, value in found.numbers.items()
        if not (name == LIMIT and key == "dNN train")  # they are in it
    ]


def _bars(found: Mapping[str, Found], calls: Mapping[str, int]) -> list[Row]:
    limit = float(found[LIMIT].auc.mean())
    mine, other = ({"AUC": float(one.auc.mean()), **one.numbers} if one is not None else None
                   for one in (found["ours"], found.get("DP")))  # fmt: skip
    bars: list[tuple[str, str, float, Direction]] = [
        ("AUC", f"AUC less DP's; real train poses reach {limit:.3f}", -0.05, "<="),
        ("recall", "recall less DP's, whose balls are larger the wider it is", 0.0, ">="),
        ("coverage", "coverage less DP's, which wide samples do not raise", 0.0, ">="),
    ]
    rows = []
    for key, what, bar, direction in bars:
        base = None if other is None else Baseline("DP", other[key])
        gain = None if base is None or mine is None else mine[key] - base.value
        rows.append(Row(f"generate/{key}/over DP", what, gain, "", bar, direction, base))
    peer = Baseline("DP", float(calls["DP"])) if "DP" in calls else None
    return [*rows, Row("generate/calls", "network calls for a sample", float(calls["ours"]), "",
                       25, "<=", peer)]  # fmt: skip


def _counted(networks: list[object], draw: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """What `draw` gives and how often it called the networks."""
    calls: list[None] = []
    hooks = [n.register_forward_hook(lambda *_: calls.append(None))
             for n in networks if isinstance(n, nn.Module)]  # fmt: skip
    drawn = draw()
    for hook in hooks:
        hook.remove()
    return drawn, len(calls)


def _mirrored_joints(joints: Tensor) -> Tensor:
    """Which body joints `(21)` a mirror image has of those that the pose has."""
    return joints[list(MIRROR_TOKENS[BODY])]


def _joined(first: PoseSet, second: PoseSet) -> PoseSet:
    return PoseSet(
        torch.cat((first.rotvec, second.rotvec)),
        torch.cat((first.expression, second.expression)),
        torch.cat((first.recorded, second.recorded)),
        torch.cat((first.clip, second.clip + len(first.names))),
        first.names + second.names,
    )


def _sets(poses: PoseSet) -> list[str]:
    return [poses.names[c].split("/")[0] for c in poses.clip.tolist()]


def _shares(poses: PoseSet, *, like: PoseSet) -> dict[str, float]:
    """Of the sets that both have."""
    both = set(_sets(like))
    sets = [name for name in _sets(poses) if name in both]
    return {name: sets.count(name) / len(sets) for name in sorted(set(sets))}


def _drawn(poses: PoseSet, shares: Mapping[str, float], count: int, *, seed: int) -> PoseSet:
    """`count` poses in these shares of the sets, half mirrored; fewer where a set has too few."""
    generator = torch.Generator().manual_seed(seed)
    sets = _sets(poses)
    here = {n: torch.tensor([i for i, s in enumerate(sets) if s == n]).long() for n in shares}
    most = min(count, *(len(here[name]) / share for name, share in shares.items()))
    rows = [here[name][torch.randperm(len(here[name]), generator=generator)[: round(most * share)]]
            for name, share in shares.items()]  # fmt: skip
    chosen = poses[torch.cat(rows)]
    turned = torch.rand(len(chosen), generator=generator) < 0.5
    return _where(turned, chosen.mirrored(), chosen)


def _where(which: Tensor, one: PoseSet, other: PoseSet) -> PoseSet:
    return PoseSet(
        torch.where(which[:, None, None], one.rotvec, other.rotvec),
        torch.where(which[:, None], one.expression, other.expression),
        torch.where(which[:, None], one.recorded, other.recorded),
        other.clip, other.names,
    )  # fmt: skip


def _body(poses: PoseSet) -> Tensor:
    return poses.rotations[:, BODY]


def _alone(count: int) -> Tensor:
    """Groups of samples that belong to no clip."""
    return -1 - torch.arange(count)


def _vectors(rotations: Tensor) -> Tensor:
    return matrix_to_rotvec(rotations).flatten(1)
