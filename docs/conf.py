"""Sphinx configuration; build with `sphinx-build -W docs docs/_build`."""

from __future__ import annotations

import re
from typing import Any

import humanmotion

project = "humanmotion"
author = "the humanmotion developers"
version = release = humanmotion.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"humanmotion {release}"
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
default_role = "code"
# Type names in signatures are shown, not linked: most belong to libraries that are not documented here.
nitpicky = False


def as_literal(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with code in single backticks; nothing else in them is markup."""
    for number, line in enumerate(lines):
        parts = re.split(r"(`+[^`]*`+)", line)
        parts[::2] = [re.sub(r"([*|\\])|_(?=\W|$)", r"\\\g<0>", text) for text in parts[::2]]
        lines[number] = "".join(parts)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", as_literal)
