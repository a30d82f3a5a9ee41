"""The language model: any Hugging Face causal LM, tuned by LoRA, in full, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from depictqa.attention import Segments, use_packed_attention
from depictqa.models.config import TUNINGS, LanguageConfig, check_choice

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class LanguageModel(nn.Module):
    """Embeddings in, logits of chosen rows out. `model` is a transformers model, in peft's wrapper for LoRA."""

    compiled: bool  # whether packs go through compiled layers

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model
        self.compiled = False
        self._as_stored: list[nn.Parameter] = []  # still to be cast, to ...
        self._dtype = torch.float32

    @classmethod
    def build(cls, config: LanguageConfig, vocab_size: int, as_stored: bool = False) -> LanguageModel:
        """From a folder or hub id, or from scratch with `vocab_size` pieces; see `LanguageConfig`.

        Weights are mapped from their files, which processes of a machine share, until they are cast: `as_stored` leaves
        that to `cast`.
        """
        check_choice(config.tuning, TUNINGS, "model.language.tuning")
        dtype = DTYPES[check_choice(config.dtype, tuple(DTYPES), "model.language.dtype")]
        model = _load_model(config, as_stored) if config.path is not None else _new_model(config, vocab_size)
        uncast = [parameter for parameter in model.parameters() if parameter.dtype != dtype]
        if config.tuning == "lora":
            model = _with_lora(model, config)
        else:
            model.requires_grad_(config.tuning == "full")
        built = cls(model)
        built._as_stored, built._dtype = uncast, dtype
        return built

    def cast(self, device: torch.device) -> None:
        """What was loaded as it is stored gets the configured dtype, on `device`: a GPU takes it from the mapped file,
        without a copy in RAM."""
        for parameter in self._as_stored:
            parameter.data = parameter.data.to(device).to(self._dtype)
        self._as_stored = []

    @property
    def width(self) -> int:
        return self.model.get_input_embeddings().weight.shape[1]

    @property
    def base(self) -> Any:
        """The transformers model itself."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def layers(self) -> Any:
        """The decoder layers. ValueError where the model has no list of that name."""
        layers = getattr(self.base.get_decoder(), "layers", None)
        if layers is None:
            raise ValueError(
                f"{self.base.config.model_type} has no list of decoder layers; set trainer.compile=false and "
                "trainer.recompute=null"
            )
        return layers

    def compile_layers(self, **options: Any) -> None:
        """Compile each decoder layer with `torch.compile`'s `options`: packs go through the compiled layers, all else
        through the layers as they are.

        One graph serves all layers of a kind, whatever the packs hold, as long as they are of one length.
        """
        for layer in self.layers:
            layer.forward = torch.compile(layer.forward, **{"fullgraph": True, **options})
        self.compiled = True

    def recompute(self, every: int) -> None:
        """In the backward pass, compute the activations of every n-th layer again instead of keeping them.

        After `compile_layers`: a compiled layer is computed again as a whole.
        """
        for layer in self.layers[every - 1 :: every]:
            layer.forward = partial(_recomputed, layer, layer.forward)

    @property
    def head(self) -> nn.Module:
        return self.model.get_output_embeddings()

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """[B, T] -> [B, T, D]"""
        return self.model.get_input_embeddings()(ids)

    def forward(
        self,
        embeds: torch.Tensor,
        rows: torch.Tensor,
        mask: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
        cache: Any = None,
        segments: Segments | None = None,
    ) -> torch.Tensor:
        """[B, T, D] -> [S, V]: logits at the S flat positions `rows` (into B*T), the only ones the head computes.

        `mask` [B, T (+ cached)] is True where a token may be attended to; None means all, which is also right for
        padding on the right of causal models. `positions` [B, T] default to 0, 1, ...; `cache` is a transformers
        cache that this call extends. With `segments`, the samples of a pack, B is 1 and none of them sees another.
        """
        arguments: dict[str, Any] = {"attention_mask": None if mask is None else mask.long()}
        if segments is not None:
            use_packed_attention(self.base)
            arguments = segments.arguments()
        eager = nullcontext() if segments is not None or not self.compiled else torch.compiler.set_stance("force_eager")
        with _only_rows(self.head, rows), eager:
            out = self.model(
                inputs_embeds=embeds,
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
                **arguments,
            )
        return out.logits[0]


def _recomputed(layer: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not (layer.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


@contextmanager
def _only_rows(head: nn.Module, rows: torch.Tensor) -> Iterator[None]:
    """While open, `head` sees the chosen rows alone: [B, T, D] -> [1, S, D]. Works whatever follows the head."""

    def choose(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return inputs[0].flatten(0, 1)[rows][None]

    handle = head.register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()


def load_tokenizer(config: LanguageConfig) -> Any:
    """The tokenizer of `language.tokenizer`, else of `language.path`."""
    from transformers import AutoTokenizer

    source = config.tokenizer or config.path
    if source is None:
        raise ValueError("the language model has no tokenizer; set model.language.tokenizer or model.language.path")
    _check_folder(source, "model.language.tokenizer" if config.tokenizer else "model.language.path")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise ValueError(f"tokenizer '{source}' cannot be read: {_first_line(error)}") from error
    if tokenizer.bos_token_id is None:
        tokenizer.bos_token = tokenizer.eos_token  # Qwen and others have none; a stream needs a first token
    return tokenizer


class SentencePieces:
    """Text -> ids as LLaMA's first tokenizers cut it ("legacy" in their config): split at special tokens, and every
    stretch between them opens with SentencePiece's own dummy prefix. The current transformers classes add that
    prefix only where the stretch has no space of its own.
    """

    def __init__(self, path: Path, special: dict[str, int]):
        self.path, self.special = path, special
        self._pattern = re.compile("(" + "|".join(re.escape(token) for token in special) + ")")
        self._model: Any = None

    def __call__(self, text: str) -> list[int]:
        if self._model is None:
            from sentencepiece import SentencePieceProcessor

            self._model = SentencePieceProcessor(str(self.path))
        ids: list[int] = []
        for stretch in self._pattern.split(text):
            if stretch in self.special:
                ids.append(self.special[stretch])
            elif stretch:
                ids += self._model.encode(stretch)
        return ids

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}


def legacy_pieces(config: LanguageConfig, tokenizer: Any) -> SentencePieces | None:
    """How to cut texts for a tokenizer folder whose config says `legacy`; None where the tokenizer itself does it."""
    model = Path(config.tokenizer or config.path or "") / "tokenizer.model"
    if not getattr(tokenizer, "legacy", False) or not model.is_file():
        return None
    return SentencePieces(model, dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)))


def _load_model(config: LanguageConfig, as_stored: bool = False) -> nn.Module:
    from transformers import AutoModelForCausalLM

    assert config.path is not None
    _check_folder(config.path, "model.language.path")
    try:
        dtype = "auto" if as_stored else DTYPES[config.dtype]
        return AutoModelForCausalLM.from_pretrained(config.path, dtype=dtype)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"language model '{config.path}' cannot be read: {_first_line(error)}") from error


def _new_model(config: LanguageConfig, vocab_size: int) -> nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM

    if config.architecture is None:
        raise ValueError("the language model has no source; set model.language.path or model.language.architecture")
    settings = {"vocab_size": vocab_size, **config.architecture}
    try:
        model_config = AutoConfig.for_model(settings.pop("model_type", "llama"), **settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"model.language.architecture is not usable: {_first_line(error)}") from error
    model = AutoModelForCausalLM.from_config(model_config)
    return model.to(DTYPES[config.dtype])


def _with_lora(model: nn.Module, config: LanguageConfig) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.lora_targets),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, lora)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"LoRA does not fit this model: {_first_line(error)} (model.language.lora_targets)") from error


def _check_folder(source: str, key: str) -> None:
    """A path that looks local must exist: transformers would look for it on the hub instead."""
    if source.startswith(("/", ".", "~")) and not Path(source).expanduser().is_dir():
        raise FileNotFoundError(f"{key} '{source}' is no folder; put the model there or change {key}")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
