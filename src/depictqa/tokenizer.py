"""Training a small LLaMA-style vocabulary: SentencePiece BPE with byte fallback, in a Hugging Face folder."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from depictqa.prompt import NAMES, PLAIN_TAG, TAGS, PromptStyle

UNK, BOS, EOS = 0, 1, 2
NUM_BYTES = 256  # byte-fallback pieces, which every vocabulary holds

_CONFIG = {
    "tokenizer_class": "LlamaTokenizer",
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "add_bos_token": True,
    "add_eos_token": False,
    "clean_up_tokenization_spaces": False,
    "legacy": False,
    "model_max_length": 1 << 30,
}


def prompt_texts(style: PromptStyle | None = None) -> list[str]:
    """The fixed strings around questions and answers, so that they cost few tokens."""
    style = style or PromptStyle()
    texts = [style.system, style.quality, style.content, style.reference, style.user, style.assistant]
    for slot, tag in TAGS.items():
        texts.append(f"{NAMES[slot]}: <{tag}> </{tag}>")
    texts += ["Image: <Img> </Img>", "Image A", "Image B"]
    return [text.strip() for text in texts if text.strip()]


def train_tokenizer(texts: Iterable[str], folder: Path | str, vocab_size: int) -> Path:
    """Learn up to `vocab_size` pieces from texts; `folder` then opens with `AutoTokenizer` as a `LlamaTokenizer`.

    As LLaMA's: unk 0, bos 1, eos 2, no pad, a dummy prefix, no normalisation. `A` and `B` are whole pieces
    after a space, so that an answer `Image A` or `Image B` is decided by its one last token. Single-threaded:
    the same texts give the same bytes. Texts that carry fewer pieces get as many as they carry: every word is one
    by then. Raises ValueError where the size leaves no room beside the 256 bytes.
    """
    lines = [line for text in (*texts, *prompt_texts()) for line in text.splitlines() if line.strip()]
    # BPE merges what is frequent first: with these, `▁A` and `▁B` are its first merges in any vocabulary.
    lines += ["A", "B"] * (sum(len(line) for line in lines) // 2 + 1)
    model = _train(lines, vocab_size)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "tokenizer.model", model)
    _write(folder / "tokenizer_config.json", json.dumps(_CONFIG, indent=2).encode())
    return folder


def _tag_symbols() -> list[str]:
    """The image tags, each one piece: they stand in every sample, several times."""
    return [f"<{slash}{tag}>" for tag in (*TAGS.values(), PLAIN_TAG) for slash in ("", "/")]


def _train(lines: list[str], vocab_size: int) -> bytes:
    from sentencepiece import SentencePieceTrainer

    least = NUM_BYTES + 3 + len(_tag_symbols()) + len({char for line in lines for char in line} | {"▁"}) + 2
    if vocab_size < least:
        raise ValueError(f"vocabulary of {vocab_size} pieces is too small; these texts need at least {least}")
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            byte_fallback=True,
            character_coverage=1.0,
            split_digits=True,
            add_dummy_prefix=True,
            remove_extra_whitespaces=False,
            normalization_rule_name="identity",
            user_defined_symbols=_tag_symbols(),
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            pad_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        most = re.search(r"Vocabulary size too high .* value <= (\d+)", str(error))
        if most is None:
            raise
        return _train(lines, int(most[1]))
    return model.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write beside, then rename: under a final name there is a whole file or none."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
