"""Every module imports on its own, from a core install, in a fresh process."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import humanmotion

# Build scripts of the default body; they run from a checkout, not in a user's program.
OPTIONAL = {"smplx", "anny", "sklearn"}


def test_every_module_imports_without_the_extras():
    modules = [m.name for m in pkgutil.walk_packages(humanmotion.__path__, "humanmotion.")]
    modules.remove("humanmotion.__main__")  # importing it runs it
    assert len(modules) > 40
    code = f"""
import importlib, sys
for name in {sorted(OPTIONAL)!r} + ["matplotlib.pyplot", "playwright", "pytest"]:
    sys.modules[name] = None
failed = []
for name in {modules!r}:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed.append(f"{{name}}: {{type(error).__name__}}: {{error}}")
print("; ".join(failed))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
