from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from humanmotion.bench.report import Baseline, BenchReport, Row, table


def report(*rows: Row) -> BenchReport:
    return BenchReport.create("body", rows, seeds=(0,), data=None, quick=True)


@pytest.mark.parametrize(
    ("value", "bar", "direction", "passed"),
    [
        (2.0, 2.0, ">=", True), (1.9, 2.0, ">=", False), (2.0, 2.0, "<=", True),
        (2.1, 2.0, "<=", False), (None, 2.0, ">=", None), (float("nan"), 2.0, "<=", False),
    ],
)  # fmt: skip
def test_bars(value, bar, direction, passed) -> None:
    row = Row("a", "what", value, "m", bar, direction)
    assert row.passed is passed
    assert report(row).exit_code == (3 if passed is False else 0)


def test_json_layout() -> None:
    rows = (
        Row("a", "one", 1.5, "m", 2.0, "<=", Baseline("peer", 3.0)),
        Row("b", "two", None, "x"),
        Row("c", "three", 4.0, "x"),
        Row("d", "four", float("inf"), "x", 1.0, "<="),
    )
    out = json.loads(json.dumps(report(*rows).to_dict(), allow_nan=False))
    assert {"bench", "machine", "threads", "seeds", "data", "rows"} <= set(out)
    assert out["rows"][0] == {
        "id": "a", "what": "one", "value": 1.5, "unit": "m", "bar": 2.0, "direction": "<=",
        "pass": True, "baseline": {"name": "peer", "value": 3.0},
    }  # fmt: skip
    assert out["rows"][1]["pass"] is None
    assert "pass" not in out["rows"][2]
    assert (out["rows"][3]["value"], out["rows"][3]["pass"]) == (None, False)


def test_a_bar_needs_its_direction() -> None:
    with pytest.raises(ValueError, match="direction"):
        Row("a", "what", 1.0, "m", bar=2.0)


def test_table_shows_every_row() -> None:
    stream = io.StringIO()
    rows = (Row("apart", "far [m]", 1.0, "m", 0.5, "<="), Row("later", "x", None, "s"))
    Console(file=stream, width=160).print(table(report(*rows)))
    text = stream.getvalue()
    for part in ("apart", "far [m]", "MISSED", "not run", "quick"):
        assert part in text
