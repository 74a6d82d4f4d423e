"""3D human motion from video: SMPL-X motion of people in one world."""

from __future__ import annotations

__version__ = "0.1.0"
