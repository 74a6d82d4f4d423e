"""How much work a reconstruction does: `draft`, `standard` or `best`, and what each level means."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

QualityName = Literal["draft", "standard", "best"]


@dataclass(frozen=True)
class Quality:
    """The settings of one level; whatever a level decides is a field here and nowhere else."""

    steps_alone: int
    """Gauss-Newton steps of a body fit by the statistics alone."""
    steps_before_prior: int
    """The same where the prior follows."""
    steps_from_guess: int
    """The same from a lifter's guess."""
    prior_steps: int
    """Steps led by the prior of movement."""
    joint_steps: int
    """Steps of the joint optimisation over all shots; 0 leaves it out."""
    hands_and_face: bool
    """Whether fingers, jaw and expression are fitted; else they rest with confidence 0."""
    overlay_side: int
    """Longer side of the overlay video at most, pixels."""

    def pose(self) -> dict[str, object]:
        """What the poses depend on."""
        later = {"joint_steps", "overlay_side"}
        return {k: v for k, v in asdict(self).items() if k not in later}


STANDARD = Quality(
    steps_alone=14, steps_before_prior=10, steps_from_guess=6, prior_steps=4,
    joint_steps=6, hands_and_face=True, overlay_side=1920,
)  # fmt: skip
DRAFT = Quality(
    steps_alone=7, steps_before_prior=6, steps_from_guess=3, prior_steps=1,
    joint_steps=0, hands_and_face=False, overlay_side=640,
)  # fmt: skip
QUALITIES: dict[QualityName, Quality] = {"draft": DRAFT, "standard": STANDARD, "best": STANDARD}
"""On val nothing more helps yet: a draft's steps of the fits cost nothing in pose, and twelve steps of
the joint optimisation end where six do."""
