"""The body: SMPL-X parameters to joints, landmarks and vertices."""

from __future__ import annotations

from humanmotion.body.landmarks import LandmarkSkin as LandmarkSkin
from humanmotion.body.model import BodyModel as BodyModel
from humanmotion.body.model import BodyOutput as BodyOutput
