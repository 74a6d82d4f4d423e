"""Options that mean the same in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Body = Annotated[
    Path | None,
    typer.Option("--body", help="SMPL-X, SMPL-H or SMPL npz to use in place of the default body."),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=2**31 - 1, help="Same seed, same device: same bytes.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no notes on stderr.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
