from __future__ import annotations

import pytest
import torch

from humanmotion.bench import body as bench
from humanmotion.errors import UsageError


@pytest.fixture(scope="module")
def report():
    return bench.run(None, quick=True)


def test_rows_and_bars(report) -> None:
    rows = {row.id: row for row in report.rows}
    assert rows["vertices_apart"].bar == 1e-5 and rows["vertices_apart"].passed
    assert (rows["mesh_speedup"].bar, rows["joints_speedup"].bar) == (2.0, 30.0)
    # The size of the ratio is the benchmark's to judge, on a quiet machine; here only its sense.
    assert rows["joints_speedup"].value > rows["mesh_speedup"].value > 0
    assert rows["load"].value < 1000


def test_same_seed_same_poses() -> None:
    a, b = (bench.random_parameters(torch.Generator().manual_seed(3), 4) for _ in range(2))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_data_must_be_a_folder(tmp_path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        bench.run(tmp_path / "none", quick=True)
