"""Denoising at several noises: every method, and ours against the published recipe with its bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from humanmotion.bench.prior_denoising import Denoising, Errors
from humanmotion.bench.prior_filters import filtered
from humanmotion.bench.prior_intervals import grouped, ratio
from humanmotion.bench.prior_methods import Method, label
from humanmotion.bench.report import Baseline, Row
from humanmotion.errors import UsageError
from humanmotion.prior.published import PublishedPrior

NOISES_MM = (20, 40, 100)
TEMPORAL_BARS = {20: 0.75, 40: 0.70, 100: 0.70}
TIED = "neighbours tied"
LOOP = "published loop"
FILTERED = "then gaussian"


@dataclass(frozen=True)
class Noise:
    """All that is measured at one noise."""

    task: Denoising
    val: Denoising
    mm: int
    by: Mapping[str, str]
    """The action of each clip."""

    @property
    def sigma(self) -> float:
        """Metres."""
        return self.mm / 1000

    def rows(
        self, compared: list[Method], rivals: Mapping[str, PublishedPrior], mine: PublishedPrior
    ) -> list[Row]:
        """Of all methods in one solver, single poses also with neighbours tied, of filters, and of the
        published loop with `rivals` and with ours in their place, `mine`."""
        seen = self.task.seen(self.sigma)
        found = {m.name: self.task.solved(m, seen, sigma=self.sigma) for m in compared}
        for method in compared:
            if method.name in ("none", "gaussian", "ours") or method.name.startswith("DP"):
                found[f"{method.name}, {TIED}"] = self.task.solved(
                    method, seen, sigma=self.sigma, neighbours=True
                )
        gaussian = next(m for m in compared if m.name == "gaussian")
        filters = filtered(self.task, self.val, gaussian, sigma=self.sigma)
        found |= {f"{kind}, {FILTERED}": errors for kind, errors in filters.items()}
        loops = {label(stem): one for stem, one in rivals.items()} | {"ours": mine}
        for name, one in loops.items():
            found[f"{name}, {LOOP}"] = self.task.published(one, seen, noise_mm=self.mm)
        rows = [r for name, errors in found.items() for r in self._method_rows(name, errors)]
        return rows + self._bars(found)

    def _method_rows(self, name: str, errors: Errors) -> list[Row]:
        key = f"denoise/{self.mm}/{name}"
        what = f"MPJPE at {self.mm} mm noise, {len(errors.mpjpe)} windows"
        return [Row(key, what, float(errors.mpjpe.mean()), "mm"),
                Row(f"{key}/acceleration", "error of the joints' acceleration",
                    float(errors.acceleration.mean()), "mm/frame^2")]  # fmt: skip

    def _bars(self, found: Mapping[str, Errors]) -> list[Row]:
        """Ours by its better way over the published recipe's, mean over its seeds."""
        best = self._best(found, "DP, seed")
        one, many = self._best(found, "ours"), found["ours, temporal"]
        if one is None:
            raise UsageError("no method is named ours")
        filters = min((e for name, e in found.items() if name.endswith(FILTERED)),
                      key=lambda e: float(e.mpjpe.mean()))  # fmt: skip
        return [
            *self._against("over DP", one, best, bar=0.9),
            *self._against("temporal over DP", many, best, bar=TEMPORAL_BARS[self.mm]),
            *self._against(
                "temporal over DP, acceleration", many, best, bar=0.5, accelerations=True
            ),
            *self._against(
                "temporal over filter", many, filters, bar=1.0, who="the best filter, then IK"
            ),
        ]

    @staticmethod
    def _best(found: Mapping[str, Errors], prefix: str) -> Errors | None:
        """The way with the lowest error, of a mean over seeds where there are several."""
        # A recipe with one thing mended is named `DP, what: ...` and is no rival here.
        ways: dict[str, list[Errors]] = {}
        for name, errors in found.items():
            if name.startswith(prefix) and name != "ours, temporal":
                way = next((w for w in (TIED, LOOP) if name.endswith(w)), "")
                ways.setdefault(way, []).append(errors)
        means = [Errors(torch.stack([e.mpjpe for e in each]).mean(0),
                        torch.stack([e.acceleration for e in each]).mean(0))
                 for each in ways.values()]  # fmt: skip
        return min(means, key=lambda e: float(e.mpjpe.mean()), default=None)

    def _against(
        self,
        name: str,
        mine: Errors,
        peer: Errors | None,
        *,
        bar: float,
        who: str = "the DPoser recipe's better way",
        accelerations: bool = False,
    ) -> list[Row]:
        key, what = f"denoise/{self.mm}/{name}", f"over {who}"
        if peer is None:
            return [Row(key, what, None, "x", bar, "<=")]
        pair = (mine.acceleration, peer.acceleration) if accelerations else (mine.mpjpe, peer.mpjpe)
        base = Baseline(who, float(pair[1].mean()))
        value = float(pair[0].mean()) / base.value
        rows = [Row(key, what, value, "x", bar, "<=", base)]
        groups = grouped(self.task.groups, self.by)
        if len(set(groups)) > 1:
            rows += ratio(*pair, groups).rows(key, "the same", "x")
        return rows
