from __future__ import annotations

import pytest

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.viz.render import GlRenderer
from tests.viz.browser import open_browser


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="session")
def gl():
    try:
        renderer = GlRenderer()
    except UsageError as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


@pytest.fixture(scope="session")
def browser():
    with open_browser() as browser:
        yield browser
