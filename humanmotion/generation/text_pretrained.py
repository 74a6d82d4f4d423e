"""T5 (also mT5, umT5) and CLIP text encoders that the user has in a folder, through `transformers`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from humanmotion.errors import FileFormatError, InputError
from humanmotion.generation.text import TextTokens

KINDS = {
    "t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel",
    "clip": "CLIPTextModel", "clip_text_model": "CLIPTextModel",
}  # fmt: skip
"""`model_type` of a folder's config to the class that holds its text encoder."""
MOST_TOKENS = 256


class PretrainedText:
    """Tokens are the last hidden states; a sentence is CLIP's pooled token, else the tokens' mean."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """A model of one of KINDS and its tokenizer; see `load`."""
        self._model, self._tokenizer = model.eval().requires_grad_(False), tokenizer
        most = int(getattr(model.config, "max_position_embeddings", MOST_TOKENS))
        self._most = min(MOST_TOKENS, most)

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu") -> PretrainedText:
        """From a folder in the layout of `transformers`; nothing is downloaded.

        Raises InputError for no such folder, FileFormatError for another kind of model.
        """
        import transformers

        folder = Path(folder)
        if not (folder / "config.json").exists():
            raise InputError(
                f"{folder} holds no config.json; give the folder of a T5 or CLIP model"
            )
        try:
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
            kind = KINDS.get(config.model_type)
            if kind is None:
                raise FileFormatError(
                    f"{folder} is a {config.model_type} model; accepted are {', '.join(KINDS)}"
                )
            model = getattr(transformers, kind).from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{folder} cannot be loaded: {error}".splitlines()[0]) from error
        return cls(model.to(device), tokenizer)

    @property
    def width(self) -> int:
        """Numbers of a token."""
        return int(self._model.config.hidden_size)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> TextTokens:
        """Tokens, mask and sentences of `B` texts."""
        read = self._tokenizer(
            list(prompts), padding=True, truncation=True, max_length=self._most, return_tensors="pt"
        ).to(self._model.device)
        mask = read["attention_mask"].bool()
        said = self._model(input_ids=read["input_ids"], attention_mask=read["attention_mask"])
        tokens = said.last_hidden_state.float() * mask[..., None]
        pooled = getattr(said, "pooler_output", None)
        mean = tokens.sum(-2) / mask.sum(-1, keepdim=True).clamp(min=1)
        sentence = mean if pooled is None else pooled.float()
        return TextTokens(tokens, mask, functional.normalize(sentence, dim=-1))
