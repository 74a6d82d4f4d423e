"""Every error the package raises on purpose.

HumanMotionError
├── UsageError            wrong use: an argument that cannot be meant (exit code 2)
├── InputError            something that was given cannot be read or used (exit code 1)
│   ├── FileFormatError   a file is not what its name says, damaged, too large or unsafe
│   ├── VideoError        a video cannot be decoded, or holds no picture
│   ├── BodyError         a body file lacks something
│   └── MotionError       a value (motion, camera, keypoints) fails its own check
├── NothingFoundError     the input is fine but holds no person (exit code 1)
├── OutputError           a result cannot be written: exists, not writable, disk full (exit code 1)
├── BatchError            some items of a batch failed (exit code 3)
└── MissingExtraError     an optional library is not installed (exit code 1)

    >>> try:
    ...     reconstruct("clip.mp4", output="out")
    ... except humanmotion.HumanMotionError as error:
    ...     print(error)          # one line: what was given, what is accepted, what to do
"""

from __future__ import annotations


class HumanMotionError(Exception):
    """Base of every error raised on purpose; its text is one line meant for the user."""

    exit_code = 1


class UsageError(HumanMotionError):
    """An argument or a combination of arguments that cannot be meant."""

    exit_code = 2


class InputError(HumanMotionError):
    """Something that was given cannot be read or used."""


class FileFormatError(InputError):
    """A file is not what its name says, is damaged, too large, or unsafe to read."""


class VideoError(InputError):
    """A video cannot be decoded, or holds no picture."""


class BodyError(InputError):
    """A body file lacks something, or a body cannot do what was asked."""


class MotionError(InputError):
    """A value (motion, camera, keypoints) fails its own check; names the field and the frame."""


class NothingFoundError(HumanMotionError):
    """The input is fine, but what was looked for (a person) is not in it."""


class OutputError(HumanMotionError):
    """A result cannot be written."""


class BatchError(HumanMotionError):
    """Some items of a batch failed; the others are done."""

    exit_code = 3


class MissingExtraError(HumanMotionError):
    """An optional library is not installed; the text names the extra to install."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; in the checkout: pip install '.[{extra}]'")
