"""Weights that are downloaded at first use: all that is missing is said in one message, with its source and place."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import torch

OFFLINE = "HF_HUB_OFFLINE"
"""The variable of the environment by which people say that there is no network."""

PROBE_SECONDS = 15.0


@dataclass(frozen=True)
class Weights:
    """A file `url` that is looked for in `folder` under PyTorch Hub's cache (`TORCH_HOME`), where its library does.

    `hash_prefix` begins the SHA-256 of a download, where its publisher says it.
    """

    owner: str
    url: str
    folder: str = "checkpoints"
    hash_prefix: str | None = None

    @property
    def path(self) -> Path:
        return Path(torch.hub.get_dir()) / self.folder / self.url.rsplit("/", 1)[-1]


def fetch(wanted: Iterable[Weights]) -> None:
    """Downloads what is not there yet, each whole or not at all.

    FileNotFoundError names every file that is still missing, its source and where to put it. After a first failure
    nothing else is tried: without a network each would wait in vain.
    """
    missing = [weights for weights in dict.fromkeys(wanted) if not weights.path.is_file()]
    failure = f"{OFFLINE} is set" if os.environ.get(OFFLINE, "0").upper() not in ("", "0", "FALSE", "NO") else None
    while missing and failure is None:
        failure = _download(missing[0])
        if failure is None:
            missing.pop(0)
    if missing:
        files = "; ".join(f"{one.owner}: {one.url} goes to {one.path}" for one in missing)
        raise FileNotFoundError(f"weights are missing and cannot be downloaded ({failure}); put them there: {files}")


def read_state(path: Path) -> dict[str, Any]:
    """A state dict on the CPU; never runs code from the file. ValueError where it is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"weights '{path}' cannot be read ({why}); delete the file to have it fetched again"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"weights '{path}' hold no state dict; delete the file to have it fetched again")
    return state


def load_state(net: torch.nn.Module, state: dict[str, Any], path: Path) -> None:
    """ValueError in a line where names or shapes are not the net's."""
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        found = " ".join(str(error).split())[:300]
        raise ValueError(f"weights '{path}' are of another model: {found}") from error


def _download(weights: Weights) -> str | None:
    """Why it failed, or None."""
    try:
        urlopen(Request(weights.url, method="HEAD", headers={"User-Agent": "torch.hub"}), timeout=PROBE_SECONDS).close()
        weights.path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(weights.url, str(weights.path), weights.hash_prefix)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: another hash
        return str(error) or type(error).__name__
    return None
