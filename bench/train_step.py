"""A training step of ours beside the official loop, on the same weights and samples, change by change.

uv run python bench/train_step.py [--help]        # on a CPU, a small model
uv run python bench/train_step.py --size paper --rounds 2   # on a GPU of 80 GB: ViT-L/14 and 7B, random weights
uv run python bench/roofline.py                   # what the second should give at least, from FLOPs and bytes

A ladder: the official loop (`bench/official_loop.py`), then with SDPA, with packs from our loader, compiled, with the
head on supervised tokens only, which is what we train with; with the vision tower compiled too, and with the frozen
weights in float8 (whose MFU counts against the rate of bfloat16); beside it padded batches of 8 with eager attention.
Everything is in the figures: reading images, the vision tower, the optimiser. Each measurement is also printed as it
comes, so that a run that is cut leaves some; a rung that this device has no memory or no kernel for is left out.

Model FLOPs are those that the step needs (the formula stands in `depictqa.costs.flops`), the same for every rung,
whatever it computes beyond them: 4 for each frozen parameter of the decoder and token, attention, the head on
supervised tokens, LoRA and projector in full, and the vision tower's forward pass. MFU is their rate over the device's:
989 TFLOP/s (H100, H200: dense bfloat16), or on a CPU that of a matrix product of 2048 x 2048, measured beside it.
`--profile FILE` says where ours spends its time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.training_loops import PADDED, Bench, Round
from bench.workload import SIZES, build_model, model_flops, write_samples
from datamodules.packing import even_packs
from depictqa.costs.gpus import GPUS
from depictqa.testing import tiny_tokenizer

OURS, VISION, FLOAT8 = "+ supervised head: ours", "+ compiled vision tower", "+ frozen weights in float8"
RUNGS: dict[str, Callable[[Bench], Round]] = {
    "official loop: one sample, eager": lambda bench: bench.one_by_one("eager"),
    "+ SDPA": lambda bench: bench.one_by_one("sdpa"),
    "+ packing, our loader": lambda bench: bench.batches(whole_head=True, compiled=False),
    "+ compile": lambda bench: bench.batches(whole_head=True),
    OURS: lambda bench: bench.batches(),
    VISION: lambda bench: bench.batches(vision=True),
    FLOAT8: lambda bench: bench.batches(vision=True, float8=True),
    "ours, not compiled": lambda bench: bench.batches(compiled=False),
    f"padded batch of {PADDED}, eager": lambda bench: bench.batches(padded=True, whole_head=True, compiled=False),
}
COMPILED = ("+ compile", OURS, VISION, FLOAT8)


def peak_flops(device: torch.device) -> float:
    if device.type == "cuda":
        return 1e12 * GPUS["h100"].peak
    one = torch.randn(2048, 2048)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        one @ one
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(seconds)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bench, lengths, flops = _prepared(options, folder, device)
    peak = peak_flops(device)
    rounds: dict[str, list[Round]] = {name: [] for name in RUNGS if options.compile or name not in COMPILED}
    initial = {name: value.clone() for name, value in bench.model.trained_state_dict().items()}
    for turn in range(options.rounds + 1):  # the first one compiles, and warms the cache
        for name in list(rounds):
            bench.model.load_trained_state_dict(initial)
            torch.manual_seed(turn)
            try:
                rounds[name].append(_one(bench, name))
            except (RuntimeError, ValueError) as error:  # out of memory, or what this device or torch has not
                del rounds[name]
                print(f"left out: {name} ({' '.join(str(error).split())[:150]})", file=sys.stderr, flush=True)
                bench.model.zero_grad()
                continue
            last = rounds[name][-1]
            print(
                f"{'warm-up' if turn == 0 else f'round {turn}'}: {name}: {len(lengths) / last.seconds:.2f} samples/s, "
                f"MFU {flops / last.seconds / peak:.1%}, {last.memory:.1f} GB",
                file=sys.stderr,
                flush=True,  # a run that is cut leaves these
            )
    if options.profile is not None:
        profile(bench, next(n for n in (VISION, OURS, "ours, not compiled") if n in rounds), options.profile)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    about = {"device": name, "size": options.size, "peak_tflops": peak / 1e12, "samples": options.samples}
    about |= {"tokens_a_sample": float(lengths.mean()), "tflops_a_sample": flops / len(lengths) / 1e12}
    return {
        **about,
        "pack_length": bench.pack_length,
        "packs_full": float(lengths.sum()) / (len(bench.packs) * bench.pack_length),
        "rows": [_row(name, found, lengths, flops, peak) for name, found in rounds.items()],
    }


def _prepared(options: argparse.Namespace, folder: Path, device: torch.device) -> tuple[Bench, np.ndarray, float]:
    """The bench, its samples' lengths, and the FLOPs of a round."""
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
    bench = Bench(model, device, files, shards, packs, pack_length, int(lengths.max()), options.workers)
    flops = sum(model_flops(model, one) for one in encoded)
    if options.compile:
        backend = {"backend": options.backend} if options.backend else {}
        model.language.compile_layers(**backend)
        bench.compile_vision(**backend)
    return bench, lengths, flops


def _one(bench: Bench, name: str) -> Round:
    on_gpu = bench.device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    found = RUNGS[name](bench)
    if on_gpu:
        found.memory = (torch.cuda.max_memory_allocated() - found.aside) / 1e9
    return found


def profile(bench: Bench, name: str, path: Path) -> None:
    """A table of where a rung's time goes, by operation or kernel."""
    from torch.profiler import ProfilerActivity

    on_gpu = bench.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    try:
        with torch.profiler.profile(activities=activities) as recorded:
            RUNGS[name](bench)
    except torch.OutOfMemoryError:
        print(f"no profile: out of memory: {name}", file=sys.stderr)
        return
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    path.write_text(recorded.key_averages().table(sort_by=order, row_limit=40), encoding="utf-8")


def _row(name: str, rounds: Sequence[Round], lengths: np.ndarray, flops: float, peak: float) -> dict[str, Any]:
    timed = rounds[1:]
    return {
        "rung": name,
        "samples_per_second": [len(lengths) / one.seconds for one in timed],
        "tokens_per_second": [float(lengths.sum()) / one.seconds for one in timed],
        "mfu": [flops / one.seconds / peak for one in timed],
        "cpu_ms_a_sample": [1e3 * one.cpu / len(lengths) for one in timed],
        "waiting_for_data": [one.waited / one.seconds for one in timed],
        "peak_memory_gb": [one.memory for one in timed if one.memory],
        "first_mean_loss": sum(rounds[0].losses) / len(lengths),
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
