"""What many tests share: nothing leaves this machine, one small tokenizer, and results as an evaluation leaves them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from depictqa.chat.scripted_server import ScriptedServer

os.environ.setdefault("OMP_NUM_THREADS", "1")  # models this small gain nothing from more, and threads that wait spin
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from depictqa.testing import tiny_tokenizer

    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


KEY = "sk-test-0123456789-never-to-be-seen"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A server of the chat-completions API, with a key in the environment, and no proxy in the way."""
    from depictqa.chat.scripted_server import ScriptedServer

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """What scripts are made of: `make.message`, `make.failure`, `make.Answer`, `make.KEY`."""
    from depictqa.chat.scripted_server import Answer, failure, message

    return SimpleNamespace(message=message, failure=failure, Answer=Answer, KEY=KEY)


@pytest.fixture(scope="session")
def write_run() -> Callable[..., None]:
    """`write_run(folder, seed, num)` leaves `results/*.jsonl`: votes with subsets, comparisons, descriptions,
    reasoning, identification and rating, with confidences; every tenth answer of the model cannot be read."""
    return _write_run


def _write_run(folder: Path, seed: int = 0, num: int = 30) -> None:
    from depictqa.evaluation.result import Result, write_results
    from depictqa.evaluation.runner import result_path
    from depictqa.sample import Task

    rng = np.random.default_rng(seed)
    sets: dict[tuple[str, str], list[Result]] = {}
    for number in range(2 * num):
        for task, benchmark, model, rest in _answers(rng, number % 2 == 0):
            fields = {"question": "?", "target": "Image A", "prediction": "Image B"} | rest
            result = Result(f"{number:03d}", Task(task), benchmark, model, number % 2 == 0, **fields)
            sets.setdefault((benchmark, model), []).append(result)
    for (benchmark, model), results in sets.items():
        write_results(result_path(folder / "results", benchmark, model), results)


def _answers(rng: np.random.Generator, reference: bool) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Task, benchmark, model and fields of each answer about one pair."""
    vote = float(rng.choice([0, 0.2, 0.4, 0.6, 0.8, 1]))
    better, worse = ("b", "a") if vote > 0.5 else ("a", "b")
    votes = {"better": better, "vote": vote, "num_votes": 5}
    subset = ("traditional", "cnn", "color")[rng.integers(3)]
    for model, share in (("depictqa", 0.0), ("psnr", 0.6), ("lpips", 0.8)):
        if model != "depictqa" and not reference:
            continue
        for benchmark, truth in (("comparison", {"better": better}), ("bapps", votes)):
            sure = float(rng.uniform(0.5, 1))
            pick = better if rng.random() < (share or sure) else worse
            scores = {pick: 0.9, "ab".replace(pick, ""): 0.4}
            fields: dict[str, Any] = {"truth": truth, "parsed": {"better": pick}, "scores": scores}
            if model == "depictqa":
                fields |= {"confidence": sure, "parsed": fields["parsed"] if rng.random() < 0.9 else None}
            yield "comparison", benchmark, model, fields | ({"subset": subset} if benchmark == "bapps" else {})
    form = {"noise": "severe", "blur": "undistorted", "overall": "severe"}
    said = {"fields": {"a": form | {"noise": str(rng.choice(["severe", "mild"]))}}}
    prediction = str(rng.choice(["Severe noise is visible.", "There is noise, and there is noise, and there is blur."]))
    about = {"truth": {"questionnaires": {"a": form}, "better": better}, "prediction": prediction}
    yield "description", "description", "depictqa", about | {"parsed": said if rng.random() < 0.9 else None}
    conclusion = {"better": better if rng.random() < 0.6 else worse}
    yield "reasoning", "reasoning", "depictqa", about | {"parsed": said | conclusion}
    names = [[], ["blur"], ["blur", "noise"]][rng.integers(3)]
    truth = {"distortions": {"a": [{"name": name, "function": "f", "severity": 3} for name in names]}}
    stated = {"distortions": {"a": names if rng.random() < 0.7 else ["noise"]}}
    sure = float(rng.uniform(0.3, 1))
    yield "identification", "identification", "depictqa", {"truth": truth, "parsed": stated, "confidence": sure}
    rated = {"better": better if rng.random() < 0.8 else worse}
    yield "rating", "rating", "depictqa", {"truth": {"better": better}, "parsed": rated}
