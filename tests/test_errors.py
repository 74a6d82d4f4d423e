"""The error tree is the one drawn at the top of its file, and every leaf has its exit code."""

from __future__ import annotations

import inspect
import re

import pytest

from humanmotion import errors

CODES = {"UsageError": 2, "BatchError": 3}


def classes() -> dict[str, type[errors.HumanMotionError]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.HumanMotionError)
    }


def test_drawing_shows_every_class_under_its_parent():
    drawn: dict[str, str] = {}
    above: list[str] = []
    for indent, name in re.findall(r"^([│├└─ ]*)(\w+Error)\b", errors.__doc__, re.MULTILINE):
        above[len(indent) // 4 :] = [name]
        drawn[name] = above[-2] if len(above) > 1 else "Exception"
    assert drawn == {name: value.__base__.__name__ for name, value in classes().items()}


@pytest.mark.parametrize("name", classes())
def test_exit_codes(name):
    assert classes()[name].exit_code == CODES.get(name, 1)


def test_missing_extra_names_the_command():
    text = str(errors.MissingExtraError("smplx", "smplx"))
    assert text == "smplx is not installed; in the checkout: pip install '.[smplx]'"
