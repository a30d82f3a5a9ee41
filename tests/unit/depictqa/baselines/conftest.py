from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from depictqa.baselines.weights import Weights
from depictqa.testing import random_image


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of PyTorch Hub, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hub"


@pytest.fixture
def noisy() -> Callable[..., Image.Image]:
    """An image that is neither flat nor white noise, with noise of `sigma` added."""

    def make(sigma: float, size: tuple[int, int] = (96, 80), seed: int = 0) -> Image.Image:
        small = random_image((size[0] // 8, size[1] // 8), seed)
        clean = np.asarray(small.resize(size, Image.Resampling.BICUBIC), float)
        noise = np.random.default_rng(seed).normal(0, sigma, clean.shape)
        return Image.fromarray(np.clip(clean + noise, 0, 255).astype(np.uint8))

    return make


@pytest.fixture
def random_state() -> Callable[..., dict[str, Tensor]]:
    """Random weights for a module, with the variance that keeps a ReLU network alive. Large matrices are one row
    many times over: as a file they are small.
    """

    def make(module: torch.nn.Module, large: int = 1 << 22) -> dict[str, Tensor]:
        torch.manual_seed(0)
        state = {}
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                state[name] = value
            elif value.numel() > large:
                state[name] = (torch.randn(value.shape[-1]) * (2 / value.shape[-1]) ** 0.5).expand(value.shape)
            elif value.dim() > 1:
                state[name] = torch.randn(value.shape) * (2 / value[0].numel()) ** 0.5
            else:
                state[name] = torch.rand(value.shape)
        return state

    return make


@pytest.fixture
def put() -> Callable[[Weights, object], None]:
    """Saves a state where the metric looks for it."""

    def save(weights: Weights, state: object) -> None:
        weights.path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, weights.path)

    return save


@pytest.fixture
def stack() -> Callable[..., Tensor]:
    """[N, 3, H, W] in 0..1, by a way of its own."""

    def make(*images: Image.Image) -> Tensor:
        return torch.stack(
            [torch.tensor(np.array(image) / 255.0, dtype=torch.float32).movedim(2, 0) for image in images]
        )

    return make
