"""Sizes of published models by name, for what is reckoned where their files are not."""

from __future__ import annotations

from typing import Any

VISION: dict[str, dict[str, Any]] = {  # arguments of open_clip's VisionTransformer; open_clip's own model configs
    "ViT-L-14": {
        "image_size": 224, "patch_size": 14, "width": 1024, "layers": 24, "heads": 16, "mlp_ratio": 4.0,
        "output_dim": 768,
    },
}  # fmt: skip

_LLAMA = {"model_type": "llama", "vocab_size": 32000, "max_position_embeddings": 4096}
LANGUAGE: dict[str, dict[str, Any]] = {  # of a transformers config; Touvron et al. 2023, as in the released config.json
    "llama-7b": {
        **_LLAMA, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
    },
    "llama-13b": {
        **_LLAMA, "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40,
    },
}  # fmt: skip
"""Vicuna-v1.5 has LLaMA's sizes."""
