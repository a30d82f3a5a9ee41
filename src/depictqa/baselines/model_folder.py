"""Where a transformers model lies: a folder, or a hub id that is fetched whole before anything long runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def find_model(path: str, owner: str, group: str | None = None) -> Path:
    """The folder of a model's files; `path` is one, or a hub id, whose missing files are downloaded. `group` is the
    options' own, by default that of the baseline `owner`.

    FileNotFoundError in one line: what is missing, where it was looked for, and the key that takes a folder.
    """
    group = group or f"baseline.{owner}"
    folder = Path(path).expanduser()
    if folder.is_dir():
        if lacking := _lacking(folder):
            raise FileNotFoundError(
                f"baseline '{owner}': folder '{path}' has no {lacking}; name a folder with a whole transformers model "
                f"({group}.path=DIR)"
            )
        return folder
    if path.startswith(("/", ".", "~")) or path.count("/") != 1:
        raise FileNotFoundError(f"baseline '{owner}': no folder '{path}'; give one ({group}.path=DIR)")
    return _from_hub(path, owner, group)


def _from_hub(hub_id: str, owner: str, group: str) -> Path:
    from httpx import HTTPError
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    failure = None
    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=FILES))
        if not _lacking(folder):
            return folder
        failure = f"no {_lacking(folder)}"
    except LocalEntryNotFoundError:
        failure = "it is not there"
    if constants.HF_HUB_OFFLINE:
        failure += ", HF_HUB_OFFLINE is set"
    else:
        try:
            folder = Path(snapshot_download(hub_id, allow_patterns=FILES))
            if not _lacking(folder):
                return folder
            failure = f"the hub's has no {_lacking(folder)}"
        except (HfHubHTTPError, LocalEntryNotFoundError, HTTPError, OSError) as error:
            failure = " ".join(str(error).split())[:200] or type(error).__name__
    raise FileNotFoundError(
        f"baseline '{owner}': model '{hub_id}' was looked for in {constants.HF_HUB_CACHE} and cannot be downloaded "
        f"({failure}); give its folder ({group}.path=DIR)"
    )


def _lacking(folder: Path) -> str | None:
    """The first file without which no model opens."""
    if not (folder / "config.json").is_file():
        return "config.json"
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return next((name for name in names if not os.path.exists(folder / name)), None)
    whole = ("model.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json")
    return None if any((folder / name).is_file() for name in whole) else "model.safetensors"
