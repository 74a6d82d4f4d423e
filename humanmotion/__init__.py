"""3D human motion from video: SMPL-X motion of people in one world.

    >>> import humanmotion
    >>> motion = humanmotion.read_motion("result/motion.npz")
    >>> joints = humanmotion.BodyModel.load().joints_of(motion)   # (T, 55, 3), metres, z up

Names are imported when first used, so that `import humanmotion` costs nothing beyond Python's own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from humanmotion.errors import BatchError as BatchError
from humanmotion.errors import BodyError as BodyError
from humanmotion.errors import FileFormatError as FileFormatError
from humanmotion.errors import HumanMotionError as HumanMotionError
from humanmotion.errors import InputError as InputError
from humanmotion.errors import MissingExtraError as MissingExtraError
from humanmotion.errors import MotionError as MotionError
from humanmotion.errors import NothingFoundError as NothingFoundError
from humanmotion.errors import OutputError as OutputError
from humanmotion.errors import UsageError as UsageError
from humanmotion.errors import VideoError as VideoError

if TYPE_CHECKING:
    from humanmotion.body import BodyModel as BodyModel
    from humanmotion.body import BodyOutput as BodyOutput
    from humanmotion.camera import Camera as Camera
    from humanmotion.generation.sampler import TextToMotion as TextToMotion
    from humanmotion.io.convert import read_any as read_any
    from humanmotion.io.convert import write_any as write_any
    from humanmotion.io.npz import read_camera as read_camera
    from humanmotion.io.npz import read_motion as read_motion
    from humanmotion.io.npz import write_motion as write_motion
    from humanmotion.jobs.reconstruct import reconstruct as reconstruct
    from humanmotion.keypoints import Keypoints as Keypoints
    from humanmotion.motion import Motion as Motion

__version__ = "0.1.0"

_WHERE = {
    "BodyModel": "humanmotion.body",
    "BodyOutput": "humanmotion.body",
    "Camera": "humanmotion.camera",
    "Keypoints": "humanmotion.keypoints",
    "Motion": "humanmotion.motion",
    "TextToMotion": "humanmotion.generation.sampler",
    "read_any": "humanmotion.io.convert",
    "read_camera": "humanmotion.io.npz",
    "read_motion": "humanmotion.io.npz",
    "reconstruct": "humanmotion.jobs.reconstruct",
    "write_any": "humanmotion.io.convert",
    "write_motion": "humanmotion.io.npz",
}

__all__ = [
    "BatchError",
    "BodyError",
    "BodyModel",
    "BodyOutput",
    "Camera",
    "FileFormatError",
    "HumanMotionError",
    "InputError",
    "Keypoints",
    "MissingExtraError",
    "Motion",
    "MotionError",
    "NothingFoundError",
    "OutputError",
    "TextToMotion",
    "UsageError",
    "VideoError",
    "__version__",
    "read_any",
    "read_camera",
    "read_motion",
    "reconstruct",
    "write_any",
    "write_motion",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'humanmotion' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
