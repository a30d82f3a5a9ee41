"""What a training step at the paper's size takes at least on a GPU of 989 TFLOP/s and 3.35 TB/s, from its operations.

uv run python bench/roofline.py [--json]

The model of `bench/counts.py` on the meta device: every operation that is dispatched has FLOPs and bytes (what it reads
and writes), and takes at least the longer of the two at the GPU's rates (H100 SXM: dense bfloat16, HBM3), in float8
products half of that. Of a step that is not compiled all operations count; of one that is, products and attention
alone, as if all between them were fused into them: what is measured lies between the two. Launching is beside it:
operations at `LAUNCH` seconds of a CPU each. Where that is the larger number, the GPU waits.

`bench/train_step.py --size paper` measures the same on a GPU, by the same names; real products reach 0.6 to 0.8 of
their rate.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from bench.counts import PACK, attention_as_one_operation, encoded_samples, official_forward, paper_model
from bench.official_loop import attention
from bench.training_loops import whole_head_loss
from depictqa.batch import pack
from depictqa.costs.gpus import GPUS
from depictqa.encode import Encoded
from depictqa.loss import batch_loss
from depictqa.models.depictqa import DepictQA

RATE, BANDWIDTH = GPUS["h100"].peak * 1e12, 3.35e12  # FLOP/s, bytes/s
LAUNCH = 5e-6


@dataclass
class Least:
    """Seconds on the GPU, and operations."""

    all: float = 0.0
    products: float = 0.0  # products and attention alone
    float8: float = 0.0  # ... those of the decoder's frozen weights at twice the rate and half the bytes
    operations: int = 0


class Roofline(TorchDispatchMode):
    """Adds up what is dispatched while it is entered."""

    def __init__(self, frozen: set[tuple[int, ...]], pairs: float) -> None:
        super().__init__()
        self.found, self.frozen, self.pairs = Least(), frozen, pairs

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.is_view or func._schema.name in ("aten::detach", "aten::_unsafe_view", "aten::empty"):
            return out
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        moved = sum(tensor.nbytes for tensor in {id(one): one for one in [*given, *made]}.values())
        flops = self._flops(func, args, kwargs, out)
        least = max(flops / RATE, moved / BANDWIDTH)
        self.found.all += least
        self.found.operations += 1
        if flops:
            half = any(tuple(sorted(one.shape)) in self.frozen for one in given)
            self.found.products += least
            self.found.float8 += least / 2 if half else least
        return out

    def _flops(self, func: Any, args: Any, kwargs: Any, out: Any) -> float:
        if func._schema.name.startswith("depictqa::segment_attention"):
            heads, width = args[1 if "backward" in func._schema.name else 0].shape[1::2]
            return (5 if "backward" in func._schema.name else 2) * 2 * self.pairs * heads * width
        count = flop_registry.get(func._overloadpacket)
        return 0.0 if count is None else float(count(*args, **(kwargs or {}), out_val=out))


def least(model: DepictQA, loss_of: Callable[[], torch.Tensor], pairs: float = 0.0) -> Least:
    """Of a forward and a backward pass; `pairs` of tokens attend to each other in a pack."""
    layers = model.language.layers
    frozen = {tuple(sorted(p.shape)) for p in layers.parameters() if p.ndim == 2 and not p.requires_grad}
    with Roofline(frozen, pairs) as counted:
        loss_of().backward()
    return counted.found


def estimate(layers: int) -> dict[str, Any]:
    """Of each rung: milliseconds a sample at least, on the GPU and to launch."""
    rows: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name, attention_as_one_operation():
        from depictqa.testing import tiny_tokenizer

        model = paper_model(tiny_tokenizer(Path(name) / "tokenizer"), layers)
        samples = encoded_samples(model)
        num = len(samples)
        with attention(model, "eager"):
            rows["official loop: one sample, eager"] = _mean(
                samples, lambda one: least(model, lambda: official_forward(model, one))
            )
        batch = pack(samples, length=PACK, longest=1024).to("meta")
        pairs = sum(len(one) ** 2 / 2 for one in samples)
        whole = least(model, lambda: whole_head_loss(model, batch), pairs)
        ours = least(model, lambda: batch_loss(model(batch)), pairs)
        rows["+ packing, our loader"] = (whole.all / num, whole.operations * LAUNCH / num)
        rows["+ compile"] = (whole.products / num, 0.0)
        rows["+ supervised head: ours"] = rows["+ compiled vision tower"] = (ours.products / num, 0.0)
        rows["+ frozen weights in float8"] = (ours.float8 / num, 0.0)
        rows["ours, not compiled"] = (ours.all / num, ours.operations * LAUNCH / num)
    tokens = sum(map(len, samples)) / num
    return {"layers": layers, "tokens_a_sample": tokens, "rows": {k: [1e3 * x for x in v] for k, v in rows.items()}}


def _mean(samples: Sequence[Encoded], of: Callable[[Encoded], Least]) -> tuple[float, float]:
    """Seconds and launches of a sample; those of as many images have the same operations."""
    kinds = {len(one.image_lengths): one for one in samples}
    found = {images: of(one) for images, one in kinds.items()}
    each = [found[len(one.image_lengths)] for one in samples]
    return sum(one.all for one in each) / len(each), sum(one.operations for one in each) * LAUNCH / len(each)


def main(options: argparse.Namespace) -> dict[str, Any]:
    found = estimate(options.layers)
    if options.json:
        print(json.dumps(found))
        return found
    print(
        f"{found['layers']} layers, samples of {found['tokens_a_sample']:.0f} tokens: milliseconds a sample, at least"
    )
    print(f"{'':34}{'GPU':>8}{'launches':>10}{'samples/s, at most':>20}")
    for name, (seconds, launches) in found["rows"].items():
        launched = f"{launches:.1f}" if launches else "-"
        print(f"{name:34}{seconds:>8.1f}{launched:>10}{1e3 / max(seconds, launches):>20.1f}")
    return found


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--layers", type=int, default=32)
    return parser.parse_args(given)


if __name__ == "__main__":
    main(arguments())
