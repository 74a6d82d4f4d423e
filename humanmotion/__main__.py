"""`python -m humanmotion`: the same as the `humanmotion` command."""

from __future__ import annotations

import sys

from humanmotion.cli.main import main

sys.exit(main())
