"""What a text encoder hands to the networks, and which prompts can be meant.

Encoders are frozen. `MiniLM` (minilm.py) works offline after the install; `PretrainedText`
(text_pretrained.py) takes a T5 or CLIP of the user's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from humanmotion.errors import UsageError

MAX_WORDS = 200
"""More words than this no encoder here reads to the end."""
_SHOWN = 40


@dataclass(frozen=True)
class TextTokens:
    """`B` texts as `L` tokens of `d` numbers each, the shorter ones padded."""

    tokens: Tensor
    """`(B, L, d)` float32; 0 behind the end."""
    mask: Tensor
    """`(B, L)` bool: False behind the end."""
    sentence: Tensor
    """One unit vector a text `(B, d)`; their products say how alike texts are."""


class TextEncoder(Protocol):
    """What turns prompts into tokens."""

    @property
    def width(self) -> int:
        """Numbers of a token."""

    def encode(self, prompts: Sequence[str]) -> TextTokens:
        """Tokens of one or more texts; an empty one is the text that says nothing."""


def checked_prompt(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The prompt with plain spaces, and notes for the user, each one line.

    Raises UsageError for a prompt without words or of more than MAX_WORDS.
    """
    clean = " ".join("".join(c if c.isprintable() else " " for c in prompt).split())
    words = re.findall(r"[^\W\d_]+", clean)
    if not words:
        given = f"prompt {clean[:_SHOWN]!r} holds no words" if clean else "the prompt is empty"
        raise UsageError(
            f'{given}; describe a movement in English, as "a person walks in a circle"'
        )
    if len(words) > MAX_WORDS:
        raise UsageError(
            f"the prompt has {len(words)} words; at most {MAX_WORDS} are read: describe one "
            "movement in a sentence or two, or give several prompts"
        )
    return clean, _language_notes(clean, words)


def _language_notes(clean: str, words: Sequence[str]) -> tuple[str, ...]:
    letters = [c for word in words for c in word]
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    foreign = latin < 0.7 * len(letters)
    lower = {w.lower() for w in words}
    if not foreign and (not lower & _ELSEWHERE or lower & _ENGLISH):
        return ()
    return (f"prompt {clean[:_SHOWN]!r} does not look like English, the only language known here",)


_ENGLISH = frozenset("the and with of then while person someone walks is are from into".split())
_ELSEWHERE = frozenset(
    # Small words of Spanish, French, Portuguese, Italian, German, Dutch, Polish, Swedish, Turkish.
    "el los las una uno con y en le la les un une des du et dans avec o os um uma e em com il lo gli "
    "di che der die das ein eine und mit im zu geht een het van op met jest na się w z och på en ett "
    "med bir ve ile persona personne pessoa mensch person geht läuft camina marche cammina".split()
) - frozenset("a an in on to is as at be he so we do person die la".split())
"""None of these is an English word, but for names."""
