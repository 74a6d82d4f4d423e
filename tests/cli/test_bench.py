"""`humanmotion bench`: the table, the JSON file and the exit code tell the same."""

from __future__ import annotations

import json

from humanmotion.cli.main import main


def test_table_file_and_exit_code_agree(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("HUMANMOTION_DATA", raising=False)
    code = main(["bench", "body", "--quick", "--json", str(tmp_path / "body.json")])
    out = capsys.readouterr().out
    found = json.loads((tmp_path / "body.json").read_text())
    assert {"bench", "machine", "threads", "seeds", "data", "rows"} <= found.keys()
    assert found["bench"] == "body" and found["quick"] is True and "quick" in out
    # Speed depends on what else runs here, so the bars may be missed; the code must say so.
    missed = [row["id"] for row in found["rows"] if row.get("pass") is False]
    assert code == (3 if missed else 0)
    assert all(row["id"] in out for row in found["rows"])
    assert out.count("MISSED") == len(missed)


def test_missing_data_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("HUMANMOTION_DATA", raising=False)
    for arguments in ([], ["--data", str(tmp_path)], ["--data", str(tmp_path / "no")]):
        assert main(["bench", "recovery", *arguments]) in (1, 2)
        out, err = capsys.readouterr()
        assert out == "" and "videos" in err and err.count("\n") == 1


def test_the_prior_is_measured_on_motion_that_is_given(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("HUMANMOTION_DATA", raising=False)
    for arguments, said in (([], "give --data"), (["--data", str(tmp_path)], "holds none of cmu")):
        assert main(["bench", "prior", *arguments]) == 1
        out, err = capsys.readouterr()
        assert out == "" and said in err and err.count("\n") == 1
