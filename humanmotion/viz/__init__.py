"""Pictures, pages and viewers of motion."""

from __future__ import annotations
