"""Sentences as vectors, by any sentence-transformers model that averages its tokens, without that library."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Embedder = Callable[[list[str]], Any]
"""n texts -> array [n, d], one row each: a `SentenceEmbedder`, or a `SentenceTransformer`'s `encode`."""


class SentenceEmbedder:
    """A folder in sentence-transformers' layout, such as all-MiniLM-L6-v2's: the mean of a text's token features,
    of unit length."""

    def __init__(self, folder: Path, batch_size: int = 64, device: str = "cpu") -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = Path(folder)
        check_sentence_model(folder)
        self.max_tokens = int(_read(folder / "sentence_bert_config.json").get("max_seq_length") or 256)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval().to(device)
        self.batch_size = batch_size

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """[n, d] float32. Longer texts are cut at the model's own length."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), self.batch_size):
                tokens = self.tokenizer(
                    list(texts[start : start + self.batch_size]),
                    padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt",
                ).to(self.model.device)  # fmt: skip
                mask = tokens["attention_mask"][..., None].float()  # [n, T, 1]
                features = self.model(**tokens).last_hidden_state.float()
                mean = (features * mask).sum(1) / mask.sum(1).clamp(min=1)
                parts.append(torch.nn.functional.normalize(mean, dim=-1).cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, 0), dtype=np.float32)


def check_sentence_model(folder: Path) -> None:
    """FileNotFoundError where it is not there, ValueError where it makes its vectors otherwise."""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"sentence model '{folder}' (evaluation.sentence_model) has no config.json; give the folder of a "
            "sentence-transformers model, e.g. of https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"
        )
    if not _read(folder / "1_Pooling" / "config.json").get("pooling_mode_mean_tokens", True):
        raise ValueError(f"sentence model '{folder}' does not average its tokens; use one that does")


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
