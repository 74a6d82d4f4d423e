"""The page in a real browser: it loads, plays, and three.js puts the bones where we do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from humanmotion.io.gltf import glb_bytes
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.viz.page import CutMark, PageReport, Series, ShotSpan, write_page
from tests.viz.people import FPS, front_camera, walk

FRAMES = 45
TITLE = "</title><script>window.hacked=1</script> walk"
CHECKED = (0, 11, 22, 44)


@pytest.fixture(scope="module")
def people(body):
    return walk(body, frames=FRAMES), walk(body, frames=FRAMES, start=(1.1, 0.4))


@pytest.fixture(scope="module")
def page(browser, body, people, tmp_path_factory):
    """The loaded page, with everything that the console said and that was requested."""
    glb = glb_bytes(
        [(motion, body) for motion in people], camera=front_camera(FRAMES), names=["anna", "ben"]
    )
    times = (people[0].times + 2.0).tolist()
    report = PageReport(
        times=times,
        shots=[ShotSpan(2.0, 2.5, "static"), ShotSpan(2.5, 3.5, "pan")],
        series=[
            Series("anna", "m", np.linspace(0.8, 0.9, FRAMES).tolist(), plot="height"),
            Series("left foot", "", [float(i % 9 < 4) for i in range(FRAMES)], kind="contact"),
        ],
        cuts=[CutMark(2.5, -30.0, 5.0, TITLE)],
        facts=[("video", TITLE)],
        warnings=[TITLE],
        seen={"ben": [i < FRAMES - 5 for i in range(FRAMES)]},
    )
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(path, title=TITLE, glb=glb, report=report)
    page = browser.new_page(viewport={"width": 900, "height": 800})
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append((message.type, message.text)))
    page.on("pageerror", lambda error: page.said.append(("error", str(error))))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(path.as_uri())
    page.evaluate("async () => { await window.humanmotion.ready; }")
    yield page
    page.close()


def test_it_loads_without_a_word_and_without_the_network(page) -> None:
    assert [said for said in page.said if said[0] in ("error", "warning")] == []
    assert len(page.asked) == 1 and page.asked[0].startswith("file:")
    assert page.title() == TITLE
    assert page.evaluate("window.hacked === undefined")
    assert page.evaluate("humanmotion.motions") == ["anna", "ben"]


def test_the_animation_advances(page) -> None:
    page.evaluate("humanmotion.setTime(0); humanmotion.play()")
    before = page.evaluate("humanmotion.jointPosition('left_wrist')")
    # In the page, and by frames: playwright's own waiting needs eval, which the policy forbids.
    page.evaluate("""async () => {
      while (humanmotion.time < 0.2) await new Promise(requestAnimationFrame);
    }""")
    assert page.evaluate("humanmotion.playing")
    after = page.evaluate("(humanmotion.pause(), humanmotion.jointPosition('left_wrist'))")
    assert np.linalg.norm(np.subtract(before, after)) > 0.05
    assert page.evaluate("humanmotion.duration") == pytest.approx((FRAMES - 1) / FPS, abs=1e-4)


def test_bones_lie_where_ours_do(page, body, people) -> None:
    page.evaluate("humanmotion.pause()")
    for number, motion in enumerate(people):
        truth = body.joints_of(motion)
        for frame in CHECKED:
            page.evaluate(f"humanmotion.setTime({frame} / {FPS})")
            names = ",".join(f"'{name}'" for name in SMPLX_JOINTS)
            seen = page.evaluate(f"[{names}].map(n => humanmotion.jointPosition(n, {number}))")
            gap = (_z_up(seen) - truth[frame]).norm(dim=-1)
            assert gap.max() <= 1e-3


def test_skinned_vertices_lie_where_ours_do(page, body, people) -> None:
    page.evaluate("humanmotion.pause()")
    vertices = body.pose(people[1]).vertices
    some = list(range(0, vertices.shape[1], 97))
    for frame in CHECKED:
        page.evaluate(f"humanmotion.setTime({frame} / {FPS})")
        seen = page.evaluate(f"{some}.map(i => humanmotion.vertexPosition(i, 1))")
        assert (_z_up(seen) - vertices[frame, some]).norm(dim=-1).max() <= 1e-3


def test_the_picture_shows_the_people(page) -> None:
    page.evaluate("humanmotion.pause(); humanmotion.setTime(0.5)")
    shown = _canvas(page)
    page.evaluate("document.getElementById('mesh').click()")
    bare = _canvas(page)
    page.evaluate("document.getElementById('mesh').click()")
    assert shown.std() > 5
    changed = np.abs(shown.astype(int) - bare).max(-1) > 12
    assert 0.02 < changed.mean() < 0.5


def test_who_is_absent_is_not_shown(page) -> None:
    shown = "[0, 1].map(i => humanmotion.shown(i))"
    page.evaluate(f"humanmotion.pause(); humanmotion.setTime({FRAMES - 6} / {FPS})")
    assert page.evaluate(shown) == [True, True]
    page.evaluate(f"humanmotion.setTime({FRAMES - 5} / {FPS})")
    assert page.evaluate(shown) == [True, False]
    page.locator("#legend button").first.click()
    assert page.evaluate(shown) == [False, False]
    page.locator("#legend button").first.click()
    page.evaluate("humanmotion.setTime(0)")
    assert page.evaluate(shown) == [True, True]


def test_plots_seek_and_keys_step(page) -> None:
    page.evaluate("humanmotion.pause()")
    box = page.locator("figure svg").first.bounding_box()
    # The plot's axis starts 46 and ends 10 pixels inside its box.
    x = box["x"] + 46 + 0.5 * (box["width"] - 56)
    page.locator("figure svg").first.scroll_into_view_if_needed()
    box = page.locator("figure svg").first.bounding_box()
    page.mouse.click(x, box["y"] + 40)
    assert page.evaluate("humanmotion.time") == pytest.approx((FRAMES - 1) / FPS / 2, abs=0.02)
    page.evaluate("humanmotion.setTime(0)")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("humanmotion.time") == pytest.approx(1 / FPS, abs=1e-5)
    page.keyboard.press("End")
    assert page.evaluate("humanmotion.time") == page.evaluate("humanmotion.duration")
    assert page.locator("#clock").inner_text().endswith("shot 2")


def test_side_by_side_moves_people_apart_and_back(page) -> None:
    where = "humanmotion.setTime(0), [0, 1].map(i => humanmotion.jointPosition('pelvis', i))"
    before = np.array(page.evaluate(where))
    page.evaluate("document.getElementById('beside').click()")
    apart = np.array(page.evaluate(where))
    page.evaluate("document.getElementById('beside').click()")
    assert np.linalg.norm((apart - before)[1] - (apart - before)[0]) == pytest.approx(1.4, abs=1e-3)
    assert np.abs(np.array(page.evaluate(where)) - before).max() < 1e-6


def test_a_damaged_glb_is_said_and_the_plots_stay(browser, tmp_path) -> None:
    path = tmp_path / "page.html"
    report = PageReport(times=[0.0, 1.0], series=[Series("speed", "m/s", [1.0, 2.0])])
    write_page(path, title="damaged", glb=b"glTF" + bytes(64), report=report)
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("figure svg")
    # No waiting function here: the page's policy forbids the eval that it needs.
    assert page.evaluate("humanmotion.duration") == 1
    assert "cannot be shown" in page.locator("#message").inner_text()
    page.close()


def _canvas(page) -> np.ndarray:
    data = page.locator("#viewport canvas").screenshot()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def _z_up(points) -> torch.Tensor:
    x, y, z = torch.tensor(points).unbind(-1)
    return torch.stack((x, -z, y), -1)
