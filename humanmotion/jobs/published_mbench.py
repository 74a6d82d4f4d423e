"""Rows of the published MBench leaderboard, as their source reports them; none was measured here."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = (
    "As reported by MotionVLA's README (2026), second-hand: neither ViMoGen's own table (arXiv "
    "2510.26794) nor the live leaderboard was read. Not measured here: SMPL was fitted to joints, a "
    "vision-language model judged the prompts, and it is not known which axis was read as height. Our "
    "columns of other names are other metrics and compare with none of these. ?: one figure stands for "
    "jitter and for sliding, likely a slip in the source."
)
COLUMNS = (
    "Motion_Condition_Consistency ↑", "Motion_Generalizability ↑", "Jitter_Degree ↓",
    "Dynamic_Degree ↑", "Foot_Floating ↓", "Foot_Sliding ↓", "Body_Penetration % ↓",
    "Pose_Quality ↓",
)  # fmt: skip


@dataclass(frozen=True)
class PublishedRow:
    """One system of the published table."""

    name: str
    cells: tuple[str, ...]
    """In the order of COLUMNS, as printed; ? after a cell that is doubtful."""


_TABLE = """
MDM | 0.42 0.51 0.0136 0.0376 0.156 0.0136? 1.68 2.67
T2M-GPT | 0.39 0.38 0.0156 0.0349 0.209 0.0156? 1.33 2.43
MoMask | 0.38 0.44 0.0147 0.0396 0.178 0.0147? 1.48 2.67
MotionDiffuse | 0.44 0.42 0.0111 0.0289 0.126 0.0063 1.35 2.21
MotionLCM | 0.48 0.55 0.0218 0.0439 0.193 0.0202 1.73 2.40
FineMoGen | 0.37 0.42 0.0118 0.0386 0.281 0.0091 1.18 2.28
MotionCraft | 0.42 0.45 0.0132 0.0420 0.402 0.0090 1.15 2.12
ViMoGen | 0.53 0.68 0.0108 0.0251 0.204 0.0064 1.78 2.38
ViMoGen-light | 0.47 0.55 0.0129 0.0294 0.155 0.0051 1.43 2.10
MotionVLA 2B (also sees a scene image) | 0.55 0.66 0.0110 0.0419 0.149 0.0049 1.34 2.14
"""
ROWS: tuple[PublishedRow, ...] = tuple(
    PublishedRow(name, tuple(cells.split()))
    for name, cells in (line.split(" | ") for line in _TABLE.strip().splitlines())
)
