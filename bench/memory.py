"""Memory of a training step as `program=plan` reckons it, beside what the step takes.

uv run python bench/memory.py [--size small] [--json]     # on a CPU: peak of the resident memory; with glibc
uv run python bench/memory.py --size paper                # on a GPU of 80 GB: peak of what PyTorch allocates

The model and one pack of `bench/train_step.py`'s size: two steps, forward, backward and optimiser. glibc keeps freed
memory for later unless it is told not to, which is no memory of the step's: the script starts itself again with that
turned off.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.workload import SIZES, build_model
from depictqa.batch import Batch, pack
from depictqa.costs.memory import STRATEGIES, memory, parts
from depictqa.costs.trace import StepBytes, StepCost, StepShape, hollow, traced_step
from depictqa.loss import batch_loss
from depictqa.models.depictqa import DepictQA
from depictqa.optim import OptimizerConfig, adam
from depictqa.sample import Slot
from depictqa.testing import make_sample, tiny_tokenizer

RETURNED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""glibc: memory that is freed goes back to the system at once."""


def full_pack(model: DepictQA, side: int, length: int) -> Batch:
    """Samples of three images of `side` px in at most `length` tokens."""
    sizes = dict.fromkeys(Slot, (side, side))
    encoded = [model.encoder.encode(make_sample(sizes=sizes))]
    for number in range(1, length // len(encoded[0])):
        encoded.append(model.encoder.encode(make_sample(sizes=sizes, key=str(number), seed=number)))
    return pack(encoded)


def train(model: DepictQA, optimizer: Any, batch: Batch, steps: int) -> None:
    on_gpu = model.device.type == "cuda"
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for _ in range(steps):
        with torch.autocast("cuda", torch.bfloat16) if on_gpu else nullcontext():
            loss = batch_loss(model(batch))
        loss.backward()
        del loss
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)


def measured(size: str, tokenizer: Path, device: torch.device) -> tuple[int, DepictQA, Batch]:
    """Peak bytes, beyond those of a process that has trained something small."""
    chosen = SIZES["tiny"]
    small = build_model("tiny", tokenizer, device)
    train(small, adam(small.parameters(), OptimizerConfig()), full_pack(small, chosen.side, 256).to(device), 1)
    del small
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    model = build_model(size, tokenizer, device)
    batch = full_pack(model, SIZES[size].side, SIZES[size].pack_length).to(device)
    train(model, adam(model.parameters(), OptimizerConfig()), batch, 2)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() - before, model, batch
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before, model, batch


def planned(model: DepictQA, batch: Batch, device: torch.device) -> dict[str, float]:
    """Bytes by what they are for."""
    patches = batch.pixels[0].shape[-1] // model.vision.patch
    shape = StepShape(batch.num_tokens, len(batch.supervised), len(batch.image_positions), batch.longest, patches)
    sizes = hollow(model.config)
    on_gpu = device.type == "cuda"
    kept = traced_step(sizes, shape, device.type, on_gpu, False).kept
    step = StepBytes(kept, traced_step(sizes, shape, "cpu", on_gpu, True).workspace)
    cost = StepCost((step.kept, 0.0), (step.workspace, 0.0))
    found = memory(parts(model), len(model.language.layers), STRATEGIES["ddp"], 1, cost, 0)
    return {**asdict(found), "total": found.total}


def main(options: argparse.Namespace) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        peak, model, batch = measured(options.size, tiny_tokenizer(Path(name) / "tokenizer"), device)
    found = planned(model, batch, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    about = {"device": name, "size": options.size, "tokens": batch.num_tokens, "planned": found, "measured": peak}
    if options.json:
        print(json.dumps(about))
    else:
        print(f"{name}, size {options.size}: a step on {batch.num_tokens} tokens, MB")
        for part, value in found.items():
            print(f"{part:12}{value / 1e6:10.1f}")
        print(f"{'measured':12}{peak / 1e6:10.1f}\nplanned / measured {found['total'] / peak:.3f}")
    return about


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(given)


if __name__ == "__main__":
    options = arguments()
    if any(os.environ.get(name) != value for name, value in RETURNED.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **RETURNED})
    main(options)
