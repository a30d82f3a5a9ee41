"""A trained model on disk: `config.json` and `model.safetensors`, of the trained parameters only.

The frozen bases are named by path and hash, so that opening says when one is missing or another one. One that was made
at random is in no other file, and is saved with the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from depictqa.models.config import ModelConfig
from depictqa.whole_file import why_unreadable

if TYPE_CHECKING:
    import torch

    from depictqa.models.depictqa import DepictQA

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer"
FORMAT = 1
VISION_NAMES = ("clip.pt", "ViT-L-14.pt")
LANGUAGE_NAMES = ("llm", "vicuna-7b-v1.5")


def save_pretrained(model: DepictQA, path: Path, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write the folder `path`; it appears whole or not at all, and replaces an older one.

    `state` takes the place of the trained parameters that the model holds, or holds in part.
    """
    from safetensors.torch import save

    beside = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        trained = model.trained_state_dict() if state is None else state
        saved = trained | model.made_state_dict()
        state = {name: value.detach().cpu().contiguous().clone() for name, value in saved.items()}
        (beside / WEIGHTS).write_bytes(save(state, metadata={"format": "pt"}))  # save_file's only its owner can read
        config = model.config.to_dict()
        if model.config.language.architecture is not None:
            model.tokenizer.save_pretrained(beside / TOKENIZER)
            config["language"]["tokenizer"] = TOKENIZER
        record = {"format": FORMAT, "model": config, "bases": _bases(model.config)}
        (beside / CONFIG).write_text(json.dumps(record, indent=2) + "\n")
        _replace(beside, path)
    except OSError as error:
        raise ValueError(
            f"model folder '{path}' cannot be written: {error.strerror}; free space or choose another"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def open_pretrained(path: Path) -> DepictQA:
    """The model in a folder that `save_pretrained` wrote, or in the `model/` of a run's folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from depictqa.models.depictqa import DepictQA

    folder = model_folder(path)
    config = read_config(folder)
    model = DepictQA.build(config)
    try:
        state = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        why = why_unreadable(folder / WEIGHTS, error)
        raise ValueError(
            f"weights '{folder / WEIGHTS}' cannot be read: {why}; train or copy the model again"
        ) from error
    model.load_saved_state_dict(state, source=f"'{folder}'")
    return model.eval()


def open_checkpoint(
    path: Path,
    vision: str | None = None,
    language: str | None = None,
    lora_alpha: int = 16,
    unique_tags: bool = True,
    abstractor_heads: int = 8,
) -> DepictQA:
    """Whatever a checkpoint may be: a folder of ours, a run's folder, or a released `ckpt.pt`.

    A released file is one part of three: `vision` and `language` default to what lies beside it (`clip.pt` or
    `ViT-L-14.pt`, and `llm/` or `vicuna-7b-v1.5/`); the other arguments are `load_official`'s.
    """
    from depictqa.official import is_released, load_official

    if not is_released(path):
        return open_pretrained(path)
    vision = vision or _beside(path, VISION_NAMES, "vision weights", "model.vision.weights")
    language = language or _beside(path, LANGUAGE_NAMES, "language model", "model.language.path")
    return load_official(vision, language, path, lora_alpha, unique_tags, abstractor_heads)


def _beside(path: Path, names: tuple[str, ...], what: str, key: str) -> str:
    for name in names:
        if (path.parent / name).exists():
            return str(path.parent / name)
    raise FileNotFoundError(f"no {what} beside '{path}'; put {' or '.join(names)} there or set {key}")


def model_folder(path: Path) -> Path:
    """`path` itself or its `model/`; FileNotFoundError where neither holds a model."""
    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
            return folder
    nearby = [folder for folder in path.parents[:2] if (folder / "model" / CONFIG).is_file()]
    nearby += sorted(run.parent.parent for run in path.glob(f"*/model/{CONFIG}")) if path.is_dir() else []
    hint = f" (such as {nearby[-1]})" if nearby else ""
    raise FileNotFoundError(
        f"checkpoint '{path}' holds no model; give a run's folder{hint}, its model/, or a released ckpt.pt"
    )


def read_config(folder: Path) -> ModelConfig:
    """The saved model's config; ValueError where a frozen base is another file than at training."""
    try:
        record = json.loads((folder / CONFIG).read_text())
        config = ModelConfig.from_dict(record["model"])
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"'{folder / CONFIG}' is no model config: {error!r}; train or copy the model again") from error
    if (folder / TOKENIZER).is_dir():
        config.language.tokenizer = str(folder / TOKENIZER)
    for key, base in record.get("bases", {}).items():
        found = _fingerprint(base["path"])
        if found is not None and found != base["sha256"]:
            raise ValueError(
                f"{key} '{base['path']}' is not the one this model was trained with; "
                f"put that one back (sha256 {base['sha256'][:12]})"
            )
    return config


def _bases(config: ModelConfig) -> dict[str, dict[str, str | None]]:
    sources = {"vision.weights": config.vision.weights, "language.path": config.language.path}
    return {key: {"path": path, "sha256": _fingerprint(path)} for key, path in sources.items() if path is not None}


def _fingerprint(path: str) -> str | None:
    """sha256 of a file, or of a folder's names, sizes and first and last MiB of each weight file; None for a hub id.

    A 13 GB folder is thus told apart in milliseconds.
    """
    source = Path(path)
    if not source.exists():
        return None
    files = (
        [source] if source.is_file() else sorted(f for f in source.iterdir() if f.suffix in (".safetensors", ".bin"))
    )
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode() if source.is_dir() else b"")
        with file.open("rb") as stream:
            digest.update(stream.read(1 << 20))
            if size > 1 << 20:
                stream.seek(-(1 << 20), os.SEEK_END)
                digest.update(stream.read())
    return digest.hexdigest()


def _replace(beside: Path, path: Path) -> None:
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        os.replace(path, old)
    os.replace(beside, path)
    shutil.rmtree(old, ignore_errors=True)
