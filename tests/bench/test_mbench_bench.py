"""`bench mbench` from its command: rows of the mesh and of texts, and weights that are none."""

from __future__ import annotations

import json

from humanmotion.cli.main import main


def test_the_quick_run_without_data_has_every_kind_of_row(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HUMANMOTION_DATA", raising=False)
    found = tmp_path / "mbench.json"
    assert main(["bench", "mbench", "--quick", "--json", str(found)]) in (0, 3)
    rows = {row["id"]: row for row in json.loads(found.read_text())["rows"]}
    assert rows["matrix-self-intersection-Mesh_Penetration"]["value"] > 0
    assert rows["sensitivity-wrong text-MCC-retrieval"]["value"] is None
    assert rows["twin"]["pass"] is True


def test_weights_that_are_none_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HUMANMOTION_DATA", raising=False)
    assert main(["bench", "mbench", "--quick", "--weights", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "evaluator.safetensors does not exist" in err and err.count("\n") == 1
