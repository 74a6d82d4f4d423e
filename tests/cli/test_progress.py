"""Progress goes to stderr only: lines in a log, nothing when quiet."""

from __future__ import annotations

from humanmotion.cli.progress import StageProgress


def run(*, quiet: bool) -> None:
    with StageProgress(quiet=quiet) as progress:
        for stage in ("people", "world"):
            for share in (0.0, 0.5, 1.0):
                progress(stage, share)


def test_a_log_gets_one_line_a_stage(capsys):
    run(quiet=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["people", "world"]


def test_quiet_is_silent(capsys):
    run(quiet=True)
    assert capsys.readouterr() == ("", "")
