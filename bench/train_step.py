"""A training step of ours beside the official loop, on the same weights and samples, change by change.

uv run python bench/train_step.py [--help]        # on a CPU, a small model
uv run python bench/train_step.py --size paper --rounds 2   # on a GPU of 80 GB: ViT-L/14 and 7B, random weights

A ladder: the official loop (`bench/official_loop.py`), then with SDPA, with packs from our loader, compiled, and with
the head on supervised tokens only, which is what we train with; beside it padded batches of 8 with eager attention.
Everything is in the figures: reading images, the vision tower, the optimiser.

Model FLOPs are those that the step needs (the formula stands in `bench/workload.py`), the same for every rung, whatever
it computes beyond them: 4 for each frozen parameter of the decoder and token, attention, the head on supervised tokens,
LoRA and projector in full, and the vision tower's forward pass. MFU is their rate over the device's: 989 TFLOP/s (H100,
H200: dense bfloat16), or on a CPU that of a matrix product of 2048 x 2048, measured beside it. `--profile FILE` says
where ours spends its time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from bench import official_loop as official
from bench.cpu_time import cpu_seconds
from bench.workload import SIZES, build_model, model_flops, write_samples
from datamodules.indexed import IndexedShards
from datamodules.loader import in_order
from datamodules.packing import even_packs
from depictqa.attention import Segments
from depictqa.batch import Batch, collate, pack
from depictqa.encode import IGNORE_INDEX, Encoder
from depictqa.loss import batch_loss
from depictqa.models.depictqa import DepictQA
from depictqa.optim import OptimizerConfig, adam
from depictqa.testing import tiny_tokenizer

GPU_PEAK = 989e12
PADDED = 8  # samples of a padded batch


class Packs(Dataset[Batch]):
    """Full packs of the samples, or padded batches of `PADDED`, as a worker makes them."""

    def __init__(
        self, samples: IndexedShards, encoder: Encoder, bins: Sequence[Sequence[int]], length: int | None, longest: int
    ) -> None:
        self.samples, self.encoder, self.bins = samples, encoder, bins
        self.length, self.longest = length, longest

    def __getitem__(self, number: int) -> Batch:
        encoded = [self.encoder.encode(self.samples[int(index)]) for index in self.bins[number]]
        return collate(encoded) if self.length is None else pack(encoded, None, self.length, self.longest)


@dataclass
class Round:
    """One pass over the samples."""

    seconds: float = 0.0
    waited: float = 0.0  # of them, for data
    losses: list[float] = field(default_factory=list)


@dataclass
class Bench:
    """What all rungs share, and the two loops."""

    model: DepictQA
    device: torch.device
    files: IndexedShards  # as they come
    shards: IndexedShards  # scaled and not compressed
    packs: list[list[int]]
    pack_length: int
    longest: int  # tokens of a sample at most
    workers: int

    def autocast(self) -> Any:
        return torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext()

    def one_by_one(self, implementation: str) -> Round:
        """The official loop, with eager attention or SDPA."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        offloaded = official.OffloadedAdam(trained) if self.device.type == "cuda" else None
        optimizer: Any = offloaded or adam(trained, OptimizerConfig())
        found = Round()
        with ExitStack() as stack:
            stack.enter_context(official.attention(self.model, implementation))
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            start = time.perf_counter()
            losses = []
            for index in range(len(self.files)):
                before = time.perf_counter()
                encoded, images = official.opened(self.model, self.files[index])
                found.waited += time.perf_counter() - before
                with self.autocast():
                    loss = official.official_loss(self.model, encoded, images)
                (loss / official.ACCUMULATE).backward()
                losses.append(loss.detach())
                if (index + 1) % official.ACCUMULATE == 0 or index + 1 == len(self.files):
                    torch.nn.utils.clip_grad_norm_(trained, 1.0)
                    optimizer.step()
                    optimizer.zero_grad()
            self._finish(found, start, losses)
        return found

    def batches(self, padded: bool, whole_head: bool, compiled: bool) -> Round:
        """Packs, or padded batches with eager attention, from workers."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = adam(trained, OptimizerConfig())
        num = len(self.shards)
        bins = [list(range(i, min(i + PADDED, num))) for i in range(0, num, PADDED)] if padded else self.packs
        data = Packs(self.shards, self.model.encoder, bins, None if padded else self.pack_length, self.longest)
        accumulate = max(1, round(official.ACCUMULATE * len(bins) / num))
        found = Round()
        with ExitStack() as stack:
            if padded:
                stack.enter_context(official.attention(self.model, "eager"))
            if not compiled:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            start = time.perf_counter()
            losses = []
            pinned = self.device.type == "cuda"
            for number, batch in enumerate(self._timed(in_order(data, range(len(bins)), self.workers, pinned), found)):
                batch = batch.to(self.device, non_blocking=True)
                with self.autocast():
                    loss = whole_head_loss(self.model, batch) if whole_head else batch_loss(self.model(batch))
                (loss / accumulate).backward()
                losses.append(loss.detach() * batch.num_samples)
                if (number + 1) % accumulate == 0 or number + 1 == len(bins):
                    torch.nn.utils.clip_grad_norm_(trained, 1.0)
                    optimizer.step()
                    optimizer.zero_grad()
            self._finish(found, start, losses)
        return found

    def _timed(self, batches: Any, found: Round) -> Iterator[Batch]:
        before = time.perf_counter()
        for batch in batches:
            found.waited += time.perf_counter() - before
            yield batch
            before = time.perf_counter()

    def _finish(self, found: Round, start: float, losses: list[torch.Tensor]) -> None:
        found.losses = torch.stack(losses).tolist()  # waits for the device
        found.seconds = time.perf_counter() - start


def whole_head_loss(model: DepictQA, batch: Batch) -> torch.Tensor:
    """`batch_loss` from the logits of all tokens."""
    every = torch.arange(batch.num_tokens, device=batch.ids.device)
    segments = positions = None
    if batch.bounds is not None:
        segments, positions = Segments(batch.segments, batch.bounds, batch.longest), batch.positions
    logits = model.language(model.embed(batch), every, None, positions, segments=segments)
    chosen = batch.supervised
    losses = torch.nn.functional.cross_entropy(
        logits[:-1].float(), batch.labels.flatten()[1:], ignore_index=IGNORE_INDEX, reduction="none"
    )
    return (losses[chosen - 1] * batch.weights.flatten()[chosen]).sum()


OURS = "+ supervised head: ours"
RUNGS: dict[str, Callable[[Bench], Round]] = {
    "official loop: one sample, eager": lambda bench: bench.one_by_one("eager"),
    "+ SDPA": lambda bench: bench.one_by_one("sdpa"),
    "+ packing, our loader": lambda bench: bench.batches(False, True, False),
    "+ compile": lambda bench: bench.batches(False, True, True),
    OURS: lambda bench: bench.batches(False, False, True),
    "ours, not compiled": lambda bench: bench.batches(False, False, False),
    f"padded batch of {PADDED}, eager": lambda bench: bench.batches(True, True, False),
}
COMPILED = ("+ compile", OURS)


def peak_flops(device: torch.device) -> float:
    if device.type == "cuda":
        return GPU_PEAK
    one = torch.randn(2048, 2048)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        one @ one
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(seconds)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = SIZES[options.size]
    model = build_model(options.size, tiny_tokenizer(folder / "tokenizer"), device)
    files = write_samples(folder / "files", options.size, options.samples, {})
    form = {"bake": chosen.image, "compressed": False}
    shards = write_samples(folder / "shards", options.size, options.samples, form)
    encoded = [model.encoder.encode(sample) for sample in shards]
    lengths = np.array([len(one) for one in encoded])
    packs = [pack_.tolist() for pack_ in even_packs(lengths, chosen.pack_length)]
    # As full as in a long run, where the window is a thousand samples.
    pack_length = -(-max(int(lengths[pack_].sum()) for pack_ in packs) // 64) * 64
    if options.compile:
        model.language.compile_layers(**({"backend": options.backend} if options.backend else {}))
    bench = Bench(model, device, files, shards, packs, pack_length, int(lengths.max()), options.workers)
    flops, peak = sum(model_flops(model, one) for one in encoded), peak_flops(device)
    names = [name for name in RUNGS if options.compile or name not in COMPILED]
    initial = {name: value.clone() for name, value in model.trained_state_dict().items()}
    found: dict[str, dict[str, list[float]]] = {
        name: {"seconds": [], "cpu": [], "waited": [], "memory": []} for name in names
    }
    losses = {}
    for turn in range(options.rounds + 1):
        for name in list(names):
            model.load_trained_state_dict(initial)
            torch.manual_seed(turn)
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            used = cpu_seconds()
            try:
                round_ = RUNGS[name](bench)
            except torch.OutOfMemoryError:
                names.remove(name)
                print(f"out of memory: {name}", file=sys.stderr)
                model.zero_grad()
                continue
            if turn == 0:  # compiles, and warms the cache
                losses[name] = sum(round_.losses) / len(lengths)
                continue
            found[name]["seconds"].append(round_.seconds)
            found[name]["cpu"].append(cpu_seconds() - used)
            found[name]["waited"].append(round_.waited / round_.seconds)
            if device.type == "cuda":
                found[name]["memory"].append(torch.cuda.max_memory_allocated() / 1e9)
    if options.profile is not None:
        profile(bench, OURS if OURS in names else "ours, not compiled", options.profile)
    rows = [_row(name, found[name], lengths, flops, peak, losses[name]) for name in names]
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    about = {"device": name, "size": options.size, "peak_tflops": peak / 1e12, "samples": options.samples}
    about |= {"tokens_a_sample": float(lengths.mean()), "tflops_a_sample": flops / len(lengths) / 1e12}
    return {
        **about,
        "pack_length": pack_length,
        "packs_full": float(lengths.sum()) / (len(packs) * pack_length),
        "rows": rows,
    }


def profile(bench: Bench, name: str, path: Path) -> None:
    """A table of where a rung's time goes, by operation or kernel."""
    from torch.profiler import ProfilerActivity

    on_gpu = bench.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with torch.profiler.profile(activities=activities) as recorded:
        RUNGS[name](bench)
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    path.write_text(recorded.key_averages().table(sort_by=order, row_limit=40), encoding="utf-8")


def _row(
    name: str, found: dict[str, list[float]], lengths: np.ndarray, flops: float, peak: float, loss: float
) -> dict[str, Any]:
    return {
        "rung": name,
        "samples_per_second": [len(lengths) / seconds for seconds in found["seconds"]],
        "tokens_per_second": [float(lengths.sum()) / seconds for seconds in found["seconds"]],
        "mfu": [flops / seconds / peak for seconds in found["seconds"]],
        "cpu_ms_a_sample": [1e3 * seconds / len(lengths) for seconds in found["cpu"]],
        "waiting_for_data": found["waited"],
        "peak_memory_gb": found["memory"],
        "first_mean_loss": loss,
    }


def show(found: dict[str, Any]) -> None:
    print(
        f"{found['device']}, size {found['size']}: {found['samples']} samples of {found['tokens_a_sample']:.0f} tokens "
        f"and {found['tflops_a_sample']:.3g} TFLOP each; peak {found['peak_tflops']:.3g} TFLOP/s; "
        f"packs of {found['pack_length']} tokens, {found['packs_full']:.3f} full"
    )
    columns = (10, 18, 7, 8, 7, 10, 7, 6, 9, 8)
    head = ("samples/s", "(min .. max)", "times", "CPU ms", "times", "tokens/s", "MFU %", "GB", "waits %", "loss")
    print(f"{'':34}" + "".join(title.rjust(width) for title, width in zip(head, columns, strict=True)))
    rate, cpu = (statistics.median(found["rows"][0][key]) for key in ("samples_per_second", "cpu_ms_a_sample"))
    for row in found["rows"]:
        rates = row["samples_per_second"]
        middle = {key: statistics.median(value) for key, value in row.items() if isinstance(value, list) and value}
        cells = (
            f"{middle['samples_per_second']:.2f}",
            f"({min(rates):.2f} .. {max(rates):.2f})",
            f"{middle['samples_per_second'] / rate:.2f}",
            f"{middle['cpu_ms_a_sample']:.1f}",
            f"{cpu / middle['cpu_ms_a_sample']:.2f}",
            f"{middle['tokens_per_second']:.0f}",
            f"{100 * middle['mfu']:.1f}",
            f"{middle['peak_memory_gb']:.1f}" if "peak_memory_gb" in middle else "-",
            f"{100 * middle['waiting_for_data']:.1f}",
            f"{row['first_mean_loss']:.4f}",
        )
        print(f"{row['rung']:34}" + "".join(cell.rjust(width) for cell, width in zip(cells, columns, strict=True)))


def main(options: argparse.Namespace) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    torch.set_num_threads(options.threads or (8 if on_gpu else 1))
    options.workers = (8 if on_gpu else 1) if options.workers is None else options.workers
    with tempfile.TemporaryDirectory() as name:
        found = measure(options, Path(name))
    if options.json:
        print(json.dumps(found))
    else:
        show(found)
    return found


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="after one to warm up")
    parser.add_argument(
        "--workers", type=int, help="processes that read, for our loader; default: 8 with a GPU, else 1"
    )
    parser.add_argument("--threads", type=int, help="of the CPU; default: 8 with a GPU, else 1")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="leave out the compiled rungs")
    parser.add_argument("--backend", help="of torch.compile; default: its own")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="a table of where the time goes, for ours")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser.parse_args(given)


if __name__ == "__main__":
    main(arguments())
