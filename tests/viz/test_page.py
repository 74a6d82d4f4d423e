from __future__ import annotations

import base64
import html
import json
import re

import pytest

from humanmotion.errors import FileFormatError, MotionError, OutputError
from humanmotion.viz.page import CutMark, PageReport, Series, ShotSpan, page_text, write_page

GLB = b"glTF" + bytes(range(256)) * 3
HOSTILE = '</title></script><script>window.hacked=1</script><!-- & "{{css}}" \u2028'


def _report(text: str = "plain") -> PageReport:
    return PageReport(
        times=[2.0, 2.5, 3.0],
        shots=[ShotSpan(2.0, 2.5, text), ShotSpan(2.5, 3.5)],
        series=[
            Series(text, "m", [1.0, None, float("nan")], plot="height"),
            Series("other", "m", [1.0, 2.0, 1 / 3], plot="height"),
            Series("left foot", "", [0.0, 1.0, 1.0], kind="contact"),
        ],
        cuts=[CutMark(2.5, -35.25, 4.0, text)],
        facts=[(text, text)],
        warnings=[text],
    )


def _script(text: str, name: str) -> str:
    match = re.search(rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert match is not None
    return match[1]


def test_hostile_text_stays_text() -> None:
    text = page_text(title=HOSTILE, glb=GLB, report=_report(HOSTILE))
    plain = page_text(title="plain", glb=GLB, report=_report())
    # Nothing that was given opens or closes an element: both pages have the same ones.
    tags = r"<(/?[a-zA-Z]+|!--)"
    assert re.findall(tags, text) == re.findall(tags, plain)
    assert f"<title>{html.escape(HOSTILE)}</title>" in text
    data = json.loads(_script(text, "report"))
    assert data["warnings"] == [HOSTILE]
    assert data["cuts"][0]["notes"] == HOSTILE


def test_the_page_holds_what_it_was_given() -> None:
    text = page_text(title="t", glb=GLB, report=_report(), side_by_side=True)
    assert base64.b64decode(_script(text, "glb")) == GLB
    data = json.loads(_script(text, "report"))
    assert data["times"] == [2.0, 2.5, 3.0]
    assert data["side_by_side"] is True
    assert [plot["title"] for plot in data["plots"]] == ["height", "left foot"]
    values = [series["values"] for series in data["plots"][0]["series"]]
    assert values == [[1.0, None, None], [1.0, 2.0, 0.33333]]


def test_the_page_asks_for_nothing() -> None:
    text = page_text(title="t", glb=GLB, report=_report())
    assert "default-src 'none'" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    addresses = set(re.findall(r"https?://[\w./-]+", text))
    assert addresses <= {"http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"}


def test_long_times_keep_their_digits() -> None:
    times = [1234.5678, 1234.6011]
    data = json.loads(_script(page_text(title="", glb=GLB, report=PageReport(times)), "report"))
    assert data["times"] == times


def test_series_must_fit_the_times() -> None:
    with pytest.raises(MotionError, match="series 'speed' has 1 values, the report 2 times"):
        PageReport(times=[0.0, 1.0], series=[Series("speed", "m/s", [1.0])])


def test_only_a_glb_is_taken_and_files_are_kept(tmp_path) -> None:
    with pytest.raises(FileFormatError, match="no binary glTF"):
        write_page(tmp_path / "a.html", title="", glb=b"<html>", report=_report())
    assert not list(tmp_path.iterdir())
    write_page(tmp_path / "a.html", title="", glb=GLB, report=_report())
    with pytest.raises(OutputError, match="exists already"):
        write_page(tmp_path / "a.html", title="", glb=GLB, report=_report(), overwrite=False)
