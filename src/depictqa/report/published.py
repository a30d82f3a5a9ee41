"""Numbers as others published them, each with its source: the one place where such numbers stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from depictqa.evaluation.answerer import MODEL

SOURCE = "the authors' talk on Depicting Beyond Scores (ECCV 2024) [S]"
"""Of every number in this file."""

FAIL = "fail"
"""What the source prints where a model gave no usable answers."""


@dataclass(frozen=True)
class Published:
    """`values` in percent, by what they are of. `model` is the name of the same method in results."""

    method: str
    values: Mapping[str, float | str]
    model: str = ""


def _votes(method: str, model: str, traditional: float, cnn: float) -> Published:
    return Published(method, {"traditional": traditional, "cnn": cnn}, model)


HUMAN = "human"
VOTES: Mapping[str, tuple[Published, ...]] = {
    "bapps": (
        _votes("Human", HUMAN, 80.8, 84.4),
        _votes("PSNR", "psnr", 59.9, 77.8),
        _votes("SSIM", "ssim", 60.3, 79.1),
        _votes("VIF", "vif", 55.6, 74.4),
        _votes("FSIM", "fsim", 62.7, 79.4),
        _votes("DeepIQA", "deepiqa", 70.3, 79.4),
        _votes("PieAPP", "pieapp", 72.7, 77.0),
        _votes("LPIPS", "lpips", 76.0, 82.8),
        _votes("DISTS", "dists", 77.2, 82.2),
        _votes("DepictQA", MODEL, 80.3, 84.2),
    )
}
"""Benchmark -> rows by subset. The source does not name the convention; its human row is the plug-in 2AFC figure."""

_TASK_VALUES = (
    "description/reasonable", "description/judge", "comparison/all", "comparison/parsed",
    "reasoning/reasonable", "reasoning/judge",
)  # fmt: skip


def _tasks(method: str, *values: float | str | None, model: str = "") -> Published:
    named = zip(_TASK_VALUES, values, strict=True)
    return Published(method, {name: value for name, value in named if value is not None}, model)


TASKS = (
    _tasks("LLaVA (LLaMA-2c)", *[FAIL] * 6),
    _tasks("LLaVA-1.5 (Vicuna-v1.5)", 18.0, 65.8, 43.0, 50.6, 7.0, 63.9),
    _tasks("MiniGPT4 (Vicuna-v0)", 16.0, 49.9, 38.0, 46.3, 1.0, 42.4),
    _tasks("MiniGPT4 (LLaMA-2c)", *[FAIL] * 6),
    _tasks("LAMM (Vicuna-v0)", 12.0, 62.5, 53.0, 55.8, 4.0, 58.1),
    _tasks("LAMM (LLaMA-2c)", 8.0, 57.4, 44.0, 48.9, 5.0, 52.4),
    _tasks("DepictQA", 64.0, 76.2, 82.0, None, 53.0, 76.4, model=MODEL),
)
"""Share that people judge reasonable, score of GPT-4 as judge; accuracy over all, and over what could be parsed."""

REFERENCES = (
    Published("DepictQA", {"task": "description", "with": 76.4, "without": 84.5}, MODEL),
    Published("DepictQA", {"task": "comparison", "with": 82.3, "without": 78.5}, MODEL),
    Published("DepictQA", {"task": "reasoning", "with": 77.2, "without": 78.8}, MODEL),
)
"""With and without a reference; the source does not name the measure."""

ORDER = [row.model for row in VOTES["bapps"][:-1]]


def method_name(model: str) -> str:
    """As a table writes it: `PSNR` for `psnr`; names that nobody published as they are."""
    return next((row.method for row in VOTES["bapps"] if row.model == model), model)


def place(model: str) -> tuple[int, str]:
    """Score metrics in the order in which they were published, others by name, the model under test last."""
    if model == MODEL:
        return len(ORDER) + 1, model
    return (ORDER.index(model) if model in ORDER else len(ORDER)), model
