"""The default body and the maker of synthetic multi-shot scenes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from humanmotion.body import BodyModel


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Thousands of small products: handing them round threads costs more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """`synthetic.py` beside this file."""
    return _beside("synthetic")


@pytest.fixture(scope="session")
def room() -> ModuleType:
    """`room.py` beside this file: pictures of a textured room with known camera poses."""
    return _beside("room")


@pytest.fixture(scope="session")
def painted() -> ModuleType:
    """`painted.py` beside this file: pictures of the default body, clothed, that a detector sees."""
    return _beside("painted")


@pytest.fixture(scope="session")
def stick() -> ModuleType:
    """`stick.py` beside this file: a stick figure as keypoints, and a detector that sees it."""
    return _beside("stick")


def _beside(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"recovery_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def walk(body, synthetic):
    """Rotations and translation of a walk whose standing foot never slips, 240 frames."""
    return synthetic.walk(body, frames=240)
