"""Viewing motion files: one page with all of them, or a viewer that stops when told."""

from __future__ import annotations

import base64
import json
import re
import urllib.request
from pathlib import Path

import pytest
import torch

from humanmotion.errors import InputError, OutputError, UsageError
from humanmotion.io.npz import read_camera, read_motion, write_motion
from humanmotion.jobs.view import view


@pytest.fixture
def pair(done, tmp_path) -> list[Path]:
    """The reconstruction and the truth, both `motion.npz`, in folders of their own."""
    write_motion(tmp_path / "truth" / "motion.npz", done.truth.motion)
    return [done.files.motions[0], tmp_path / "truth" / "motion.npz"]


def _script(page: Path, name: str) -> str:
    found = re.search(
        rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', page.read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    return found[1]


def _glb(page: Path) -> dict:
    data = base64.b64decode(_script(page, "glb"))
    return json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])


def _legend(page: Path) -> list[str]:
    plots = json.loads(_script(page, "report"))["plots"]
    return [s["name"] for p in plots if p["title"] == "pelvis height" for s in p["series"]]


def test_one_page_holds_both_motions(pair, tmp_path) -> None:
    page, said = tmp_path / "both.html", []
    view(pair, html=page, announce=said.append)
    assert said == [str(page)]
    tree, report = _glb(page), json.loads(_script(page, "report"))
    assert len(tree["skins"]) == 2
    # Two files of one name go by their folders' names.
    names = ["out/motion", "truth/motion"]
    assert _legend(page) == names
    assert set(names) <= {node.get("name") for node in tree["nodes"]}
    assert report["side_by_side"] is True and len(report["times"]) == 60
    assert len(tree["cameras"]) == 1


def test_files_of_one_folder_share_their_world(done, tmp_path) -> None:
    for name in ("walk", "again"):
        write_motion(tmp_path / f"{name}.npz", done.truth.motion[:10])
    page = tmp_path / "page.html"
    view([tmp_path / "walk.npz", tmp_path / "again.npz"], html=page, announce=lambda text: None)
    assert _legend(page) == ["walk", "again"]
    assert json.loads(_script(page, "report"))["side_by_side"] is False


def test_folders_of_one_name_are_numbered(done, tmp_path) -> None:
    paths = [tmp_path / side / "run" / "motion.npz" for side in "ab"]
    for path in paths:
        write_motion(path, done.truth.motion[:10])
    page = tmp_path / "page.html"
    view(paths, html=page, announce=lambda text: None)
    assert _legend(page) == ["run/motion 1", "run/motion 2"]


def test_motions_of_different_length(done, tmp_path) -> None:
    for name, frames in (("short", 10), ("long", 25)):
        write_motion(tmp_path / f"{name}.npz", done.truth.motion[:frames])
    for first, second in (("short", "long"), ("long", "short")):
        page = tmp_path / f"{first}.html"
        files = [tmp_path / f"{n}.npz" for n in (first, second)]
        view(files, html=page, announce=lambda text: None)
        report = json.loads(_script(page, "report"))
        shown = {s["name"]: s["values"] for s in report["plots"][0]["series"]}
        assert {len(v) for v in shown.values()} == {len(report["times"])} == {25}
        drawn = {name: sum(v is not None for v in values) for name, values in shown.items()}
        assert drawn == {"short": 10, "long": 25}


def test_plots_go_by_time_not_by_frame(done, tmp_path) -> None:
    motion = done.truth.motion
    write_motion(tmp_path / "slow.npz", motion[::3])
    write_motion(tmp_path / "fast.npz", motion[:20])
    page = tmp_path / "page.html"
    view([tmp_path / "slow.npz", tmp_path / "fast.npz"], html=page, announce=lambda text: None)
    report = json.loads(_script(page, "report"))
    slow, fast = (s["values"] for s in report["plots"][0]["series"])
    assert report["times"][:3] == pytest.approx([0, 0.1, 0.2], abs=1e-5)
    # The same walk: where both are drawn they agree, and the shorter one ends in time.
    assert fast[:7] == pytest.approx(slow[:7], abs=1e-4) and set(fast[7:]) == {None}


def test_other_formats_are_viewed_too(done, tmp_path) -> None:
    page = tmp_path / "page.html"
    view([done.files.bvh], html=page, announce=lambda text: None)
    assert _legend(page) == ["motion"] and not _glb(page).get("cameras")


def test_a_page_is_not_replaced_unasked(done, tmp_path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    with pytest.raises(OutputError, match=r"page\.html exists already; pass --overwrite"):
        view([done.files.motions[0]], html=page, announce=lambda text: None)
    assert page.read_text() == "mine"
    view([done.files.motions[0]], html=page, announce=lambda text: None, overwrite=True)
    assert _legend(page) == ["motion"]


def test_what_was_assumed_is_told(done, tmp_path) -> None:
    told: list[str] = []
    view([done.files.bvh], html=tmp_path / "p.html", announce=lambda text: None, note=told.append)
    assert told == ["motion: units taken as cm from the length of the legs"]


def test_the_viewer_gets_the_camera_of_each_file(pair, tmp_path, monkeypatch) -> None:
    class Served:
        url = "http://here"
        wait = close = staticmethod(lambda: None)

    given = {}
    monkeypatch.setattr("humanmotion.jobs.view.serve", lambda m, **k: given.update(k) or Served())
    own = read_camera(pair[0])
    write_motion(pair[1], read_motion(pair[1]), camera=own)
    write_motion(tmp_path / "none.npz", read_motion(pair[1]))
    view([tmp_path / "none.npz", *pair], announce=lambda text: None)
    none, first, second = given["cameras"]
    assert none is None
    assert torch.equal(first.t_w2c, own.t_w2c) and torch.equal(second.t_w2c, own.t_w2c)


def test_nothing_to_view(tmp_path) -> None:
    with pytest.raises(UsageError, match="give one motion file or more"):
        view([], announce=lambda text: None)
    with pytest.raises(InputError, match=r"gone\.npz does not exist"):
        view([tmp_path / "gone.npz"], html=tmp_path / "p.html", announce=lambda text: None)
    assert not (tmp_path / "p.html").exists()


class _EnoughError(Exception):
    pass


def test_the_viewer_serves_and_is_closed_when_left(pair) -> None:
    seen: list[str] = []

    def leave(url: str) -> None:
        with urllib.request.urlopen(url, timeout=10) as page:
            seen.append(page.read().decode()[:200])
        seen.append(url)
        raise _EnoughError

    with pytest.raises(_EnoughError):
        view(pair, announce=leave, port=18080)
    assert "<html" in seen[0].lower()
    with pytest.raises(OSError):
        urllib.request.urlopen(seen[1], timeout=2)
