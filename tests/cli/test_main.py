"""How the command line ends: exit codes, one line per error, results on stdout only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import humanmotion
from humanmotion import errors
from humanmotion.cli import main as cli
from humanmotion.cli.main import main

SCRIPT = [
    sys.executable,
    "-c",
    "import sys; from humanmotion.cli.main import main; sys.exit(main())",
]
COMMANDS = [
    "reconstruct",
    "fit",
    "generate",
    "train",
    "view",
    "convert",
    "convert-body",
    "score",
    "info",
    "data",
    "demo",
    "bench",
]


@pytest.mark.parametrize("arguments", [["--help"], *([c, "--help"] for c in COMMANDS)], ids=str)
def test_help_is_a_result(arguments, capsys):
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage: humanmotion") and err == ""


def test_every_command_is_listed_on_one_line(capsys):
    main(["--help"])
    out = capsys.readouterr().out
    listed = out.split("Commands:\n")[1].splitlines()
    assert sorted(line.split()[0] for line in listed) == sorted(COMMANDS)
    assert not any(line.endswith("...") for line in listed)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"humanmotion {humanmotion.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing command"),
        (["reconstrct"], "No such command 'reconstrct'"),
        (["reconstruct"], "Missing argument"),
        (["reconstruct", "x.mp4"], "Missing option '--output' / '-o'"),
        (["reconstruct", "x.mp4", "-o", "y", "--camera", "up"], "camera 'up' given"),
        (["reconstruct", "x.mp4", "-o", "y", "--person", "one"], "valid integer"),
        (["reconstruct", "x.mp4", "-o", "y", "--focal", "-5"], "--focal"),
        (["reconstruct", "x.mp4", "-o", "y", "--focal", "nan"], "--focal"),
        (["convert", "a.bvh"], "Missing argument"),
        (["bench", "speed"], "'speed' is not one of"),
        (["info", "--colour"], "No such option: --colour"),
    ],
    ids=str,
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("humanmotion: error: ") and message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.InputError("clip.mp4 is empty"), 1, "clip.mp4 is empty"),
        (errors.UsageError("fps -1 given"), 2, "fps -1 given"),
        (errors.BatchError("2 of 3 failed"), 3, "2 of 3 failed"),
        (errors.OutputError("two\nlines"), 1, "two lines"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:130] DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 9 bytes."
            ),
            1,
            "out of memory; a shorter",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 1, "out of memory; a short"),
        (np.exceptions.AxisError("odd"), 1, "internal error"),
        (OSError(28, "No space left on device", "x.npz"), 1, "x.npz: No space left on device"),
        (ValueError("odd"), 1, "internal error, please report it: ValueError: odd (test_main.py:"),
    ],
    ids=str,
)
def test_every_error_is_one_line_and_its_exit_code(error, code, message, capsys, monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("humanmotion.jobs.info.describe_installation", fail)
    assert main(["info"]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == err.count("humanmotion: error:") == 1
    assert message in err and "Traceback" not in err


def test_a_missing_file_names_it(capsys, tmp_path):
    for arguments in (
        ["info", str(tmp_path / "no.npz")],
        ["convert", str(tmp_path / "no.npz"), str(tmp_path / "out.bvh")],
        ["convert-body", str(tmp_path / "no.pkl"), str(tmp_path / "out.npz")],
    ):
        assert main(arguments) in (1, 2)
        out, err = capsys.readouterr()
        assert out == "" and "does not exist" in err and err.count("\n") == 1


def test_libraries_are_calmed_but_not_against_the_user(monkeypatch):
    monkeypatch.setenv("GLOG_minloglevel", "0")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.delenv("OPENCV_LOG_LEVEL", raising=False)
    cli._calm_libraries()
    assert os.environ["GLOG_minloglevel"] == "0" and os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"


class TestProcess:
    """What only a process of its own can show."""

    def test_help_needs_no_torch(self):
        code = "import sys; from humanmotion.cli.main import main; main(['--help']); "
        code += "sys.exit(int('torch' in sys.modules or 'cv2' in sys.modules))"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0

    def test_a_name_that_the_terminal_cannot_spell(self):
        environment = os.environ | {"PYTHONIOENCODING": "ascii"}
        done = subprocess.run(
            [*SCRIPT, "info", "größe\U0001f600.npz"], capture_output=True, env=environment
        )
        assert done.returncode in (1, 2)
        assert rb"gr\xf6\xdfe" in done.stderr and b"Traceback" not in done.stderr

    def test_a_reader_that_stops_early_is_no_error(self):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([*SCRIPT, "--version"], stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert done.stderr == b"" and done.returncode == 0

    def test_terminating_leaves_nothing_behind(self, tmp_path):
        code = (
            "import sys, time; import humanmotion.jobs.info as info; "
            "from humanmotion.cli.main import main; from humanmotion.files import atomic_path\n"
            "def work():\n"
            f"    with atomic_path({str(tmp_path / 'overlay.mp4')!r}) as path:\n"
            "        path.write_text('half'); print('ready', flush=True)\n"
            "        try:\n            time.sleep(60)\n        except Exception:\n            pass\n"
            "info.describe_installation = work; sys.exit(main(['info']))"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            assert len(list(tmp_path.iterdir())) == 1
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 143 and err == "humanmotion: error: terminated\n"
        assert not list(tmp_path.iterdir())

    def test_interrupting(self):
        code = (
            "import sys, time; import humanmotion.jobs.info as info; "
            "from humanmotion.cli.main import main; "
            "info.describe_installation = lambda: (print('ready', flush=True), time.sleep(60)); "
            "sys.exit(main(['info']))"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 130 and err == "humanmotion: error: interrupted\n"


class TestInfo:
    def test_installation_as_json(self, capsys):
        assert main(["info", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["humanmotion"] == humanmotion.__version__
        assert found["libraries"]["opencv-contrib-python"].startswith("4.")
        assert "default.npz" in found["shipped"]["default body"]
        assert "pose_statistics.npz" in found["shipped"]["pose statistics"]
        assert found["detector"].startswith("6 models in ")

    def test_installation_as_text_has_the_same_names(self, capsys):
        main(["info", "--json"])
        names = json.loads(capsys.readouterr().out)
        main(["info"])
        text = capsys.readouterr().out
        assert all(any(line.startswith(name) for line in text.splitlines()) for name in names)

    def test_a_second_cv2_is_a_problem_with_a_cure(self, monkeypatch):
        from humanmotion.jobs import info

        monkeypatch.setattr(
            info, "_cv2_distributions", lambda: ["opencv-contrib-python", "opencv-python"]
        )
        [problem] = [p for p in info.describe_installation()["problems"] if "cv2" in p]
        assert "pip uninstall" in problem and "opencv-python" in problem

    def test_the_detectors_models_are_looked_for_and_not_loaded(self, monkeypatch):
        from humanmotion.jobs import info

        before = "mediapipe" in sys.modules
        monkeypatch.setattr(info, "DETECTOR_MODELS", ("pose_detection/pose_detection", "no/such"))
        problems = info.describe_installation()["problems"]
        assert any("missing: no/such in" in p and "pip install mediapipe" in p for p in problems)
        monkeypatch.setattr(info.importlib.util, "find_spec", lambda _: None)
        assert info._detector().startswith("missing: mediapipe is not installed")
        assert ("mediapipe" in sys.modules) == before

    def test_a_missing_extra_names_its_command(self):
        from humanmotion.jobs import info

        assert info._extra("x", ["numpy"]) == "installed"
        text = info._extra("x", ["numpy", "no-such-library"])
        assert text == "lacks no-such-library; pip install '.[x]' in the checkout"

    def test_a_file(self, capsys, tmp_path):
        (tmp_path / "x.npz").write_bytes(b"not a zip file")
        code = main(["info", str(tmp_path / "x.npz")])
        out, err = capsys.readouterr()
        assert "x.npz" in out + err and code in (0, 1)

    def test_a_damaged_file_is_described_and_fails(self, capsys, tmp_path):
        (tmp_path / "x.bvh").write_text("HIERARCHY\nROOT r {\n")
        assert main(["info", str(tmp_path / "x.bvh"), "--json"]) == 1
        out, err = capsys.readouterr()
        found = json.loads(out)
        assert found["format"] == "bvh" and found["problems"] == [found["error"]]
        assert err == f"humanmotion: error: {found['error']}\n"
        assert main(["info", str(tmp_path / "x.bvh")]) == 1
        out, err = capsys.readouterr()
        assert "\nerror" not in out and "no MOTION part" in out and err.count("\n") == 1
