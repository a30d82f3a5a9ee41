"""The search finds what fits; a real limit of memory is met and survived."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from depictqa.batch import collate
from depictqa.testing import mixed_samples, tiny_model
from depictqa.token_budget import STEP, Trial, is_out_of_memory, largest, safe

ROOT = Path(__file__).resolve().parents[3]


@given(st.integers(1, 5000), st.integers(0, 60_000), st.integers(0, 100_000))
def test_the_largest_that_fits_is_found_without_trying_far_too_much(low: int, room: int, limit: int) -> None:
    tried: list[int] = []

    def fits(tokens: int) -> bool:
        tried.append(tokens)
        return tokens <= limit

    high = low + room
    found = largest(fits, low, high)
    assert max(tried) <= max(low, min(2 * limit, high)) and len(tried) < 40
    if found is None:
        assert limit < low
    else:
        assert low <= found <= min(limit, high) and found > min(limit, high) - STEP


def test_a_share_of_it_is_safe() -> None:
    assert (safe(10_000, 900, 20_000), safe(20_000, 900, 20_000), safe(1000, 980, 20_000)) == (8960, 20_000, 980)


def test_a_trial_leaves_the_model_as_it_was(tokenizer_folder: Path) -> None:
    model = tiny_model(tokenizer_folder).train()
    batch = collate([model.encoder.encode(sample) for sample in mixed_samples()])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    assert Trial(model, torch.device("cpu")).fits([batch, batch])
    assert torch.equal(state, torch.get_rng_state()) and model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_bug_is_no_want_of_memory(tokenizer_folder: Path) -> None:
    model = tiny_model(tokenizer_folder).train()
    batch = collate([model.encoder.encode(sample) for sample in mixed_samples()])
    batch.ids += 10**6
    with pytest.raises((IndexError, RuntimeError)):
        Trial(model, torch.device("cpu")).fits([batch])


def test_errors_of_memory_are_told_from_others() -> None:
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(2**60)
    with pytest.raises(MemoryError) as numpys:
        np.empty(2**56, np.uint8)
    assert is_out_of_memory(torchs.value) and is_out_of_memory(numpys.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) and not is_out_of_memory(
        ValueError("can't allocate memory")
    )


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from depictqa.batch import collate
from depictqa.testing import make_sample, tiny_model, tiny_tokenizer
from depictqa.token_budget import Trial, largest, safe
torch.set_num_threads(1)
model = tiny_model(tiny_tokenizer(Path(sys.argv[1]))).train()
encoded = model.encoder.encode(make_sample())
batches = lambda tokens: [collate([encoded] * (tokens // len(encoded)))]
trial = Trial(model, torch.device("cpu"))
assert trial.fits(batches(2 * len(encoded)))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20,) * 2)
found = largest(lambda tokens: trial.fits(batches(tokens)), 2 * len(encoded), 2**22)
print(found, trial.fits(batches(safe(found, 64, 2**22))), trial.fits(batches(4 * found)))
"""


def test_a_limit_of_memory_is_found(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, *fits = done.stdout.split()
    assert 1000 < int(found) < 2**22 and fits == ["True", "False"]


OUT = """
import resource, sys
from pathlib import Path
import lightning as L, torch
from depictqa.batch import collate
from depictqa.callbacks.batch_sizes import BatchSizes
from depictqa.lightning_module import DepictQAModule
from depictqa.optim import OptimizerConfig
from depictqa.testing import make_sample, tiny_model, tiny_tokenizer
from experiments.token_budget import explain
torch.set_num_threads(1)
model = tiny_model(tiny_tokenizer(Path(sys.argv[1]))).train()
encoded = model.encoder.encode(make_sample())
sizes = BatchSizes()
trainer = L.Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, callbacks=[sizes],
                    enable_progress_bar=False, enable_model_summary=False)
class Batches:
    def __len__(self):
        return 3
    def __iter__(self):
        yield collate([encoded] * 2)
        yield collate([encoded] * 8)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        large = collate([encoded] * 2000)
        resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
        yield large
try:
    trainer.fit(DepictQAModule(model, OptimizerConfig(), 3), Batches())
except (RuntimeError, MemoryError) as error:
    try:
        explain(error, sizes, 8192)
    except ValueError as said:
        print(type(error).__name__, len(encoded), said, sep="|")
"""


def test_a_step_that_does_not_fit_names_the_budget_that_would(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUT, str(tmp_path)], capture_output=True, text=True, cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, tokens, said = done.stdout.strip().split("|")
    largest = 8 * int(tokens)
    assert said == (
        f"out of memory at step 3 with a micro-batch of {2000 * int(tokens)} tokens; the largest that fitted had "
        f"{largest} (data.token_budget is 8192). Set data.token_budget={largest // 64 * 64}, or auto to have it found, "
        "or trainer.recompute=1"
    )
