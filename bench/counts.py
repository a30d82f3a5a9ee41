"""What a training step costs, counted without a GPU: rows, packs, operations and bytes.

uv run python bench/counts.py [--json]

Ours beside the official loop as `bench/official_loop.py` has it, on a graph of ViT-L/14 and a 7B LLaMA with LoRA whose
tensors are on the meta device: all is dispatched, nothing computed.

- logit rows: rows of the head over supervised tokens.
- packing: share of 8,192-token packs that is no padding, on the paper's distribution of lengths (`bench/packing.py`).
- operations: calls that reach the dispatcher, forward and with the backward pass, for each of a pack's samples.
  Attention in packs is one operation, as the kernels for GPUs are. Nothing is compiled here.
- bytes: what a decoder layer adds to what is there after the forward pass, for each token, as `depictqa.costs.trace`
  counts it. All in bfloat16.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.official_loop import attention, official_loss
from bench.packing import paper_lengths
from datamodules.packing import packing_efficiency
from depictqa import attention as packs
from depictqa.batch import Batch, pack
from depictqa.costs.architectures import LANGUAGE, VISION
from depictqa.costs.trace import Allocated
from depictqa.encode import IGNORE_INDEX, Encoded
from depictqa.loss import batch_loss
from depictqa.models.config import LanguageConfig, ModelConfig, ProjectorConfig, VisionConfig
from depictqa.models.depictqa import DepictQA
from depictqa.sample import Slot
from depictqa.testing import make_sample, tiny_tokenizer

PACK = 8192  # tokens
TOKENS = 739  # of the paper's average sample
IMAGES = (3, 2, 2, 2, 2, 3, 2, 2, 2, 2, 3)  # of a pack's samples: 2.27 each, 2.24 in the paper's recipe
ANSWER = "Image A is clearly better than Image B, since Image B shows severe noise."


def paper_model(tokenizer: Path, layers: int) -> DepictQA:
    """At the paper's widths, on the meta device."""
    config = ModelConfig(
        vision=VisionConfig(architecture=VISION["ViT-L-14"]),
        projector=ProjectorConfig(),
        language=LanguageConfig(
            tokenizer=str(tokenizer), architecture={**LANGUAGE["llama-7b"], "num_hidden_layers": layers}
        ),
    )
    with torch.device("meta"):
        model = DepictQA.build(config)
    return model.to(torch.bfloat16).train()


def encoded_samples(model: DepictQA) -> list[Encoded]:
    """Samples of 256 px with the `IMAGES`."""
    encoded = []
    for number, count in enumerate(IMAGES):
        sizes = dict.fromkeys(list(Slot)[3 - count :], (256, 256))
        encoded.append(model.encoder.encode(make_sample(sizes=sizes, answer=ANSWER, key=str(number), seed=number)))
    return encoded


def official_forward(model: DepictQA, encoded: Encoded) -> torch.Tensor:
    return official_loss(model, encoded, [torch.empty(1, 3, *pixels.shape[:2]) for pixels in encoded.pixels])


class Operations(TorchDispatchMode):
    """Counts what is dispatched while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(loss_of: Any) -> tuple[int, int]:
    """Of the forward pass, and with the backward pass."""
    with Operations() as counted:
        loss = loss_of()
        forward = counted.count
        loss.backward()
    return forward, counted.count


@contextmanager
def attention_as_one_operation() -> Iterator[None]:
    """Bounds on the meta device have no values to cut segments by."""
    cut = packs._by_segment
    packs._by_segment = packs.segment_attention  # type: ignore[assignment]
    try:
        yield
    finally:
        packs._by_segment = cut


def kept_bytes(model: DepictQA, loss_of: Any) -> int:
    """Of the forward pass, at its end."""
    with Allocated([*model.parameters(), *model.buffers()]) as allocated:
        result = loss_of()
        kept = allocated.live
    del result
    return kept


def of_tokens(model: DepictQA, encoded: Encoded, tokens: int) -> Encoded:
    """The sample with a longer answer, so that it has so many tokens."""
    more = tokens - len(encoded)
    assert more >= 0
    encoded.ids = torch.cat([encoded.ids, encoded.ids[-1:].expand(more)])
    encoded.labels = torch.cat([encoded.labels, encoded.labels[-1:].expand(more)])
    return encoded


def logit_rows(model: DepictQA, loss_of: Any) -> int:
    """Rows that the head computes."""
    rows = []
    handle = model.language.head.register_forward_hook(lambda _, inputs, output: rows.append(output.shape[:-1].numel()))
    try:
        loss_of()
    finally:
        handle.remove()
    return sum(rows)


def count(layers: int, draws: int) -> dict[str, Any]:
    """The numbers of all lines of the table: (official, ours) each, None where there is none."""
    with tempfile.TemporaryDirectory() as name, attention_as_one_operation():
        tokenizer = tiny_tokenizer(Path(name) / "tokenizer")
        model = paper_model(tokenizer, layers)
        samples = encoded_samples(model)
        batch = pack(samples, length=PACK, longest=1024)
        supervised = int((batch.labels != IGNORE_INDEX).sum())
        batch = batch.to("meta")
        ours, rows = operations(lambda: batch_loss(model(batch))), logit_rows(model, lambda: model(batch))
        with attention(model, "eager"):
            each = [operations(lambda one=one: official_forward(model, one)) for one in samples]
            official_rows = sum(logit_rows(model, lambda one=one: official_forward(model, one)) for one in samples)
        bytes_official, bytes_ours = _bytes(tokenizer)
    lengths = paper_lengths(draws)
    number = len(samples)
    return {
        "layers": layers,
        "samples_in_the_pack": number,
        "images_a_sample": sum(IMAGES) / number,
        "logit_rows_per_supervised_token": [official_rows / supervised, rows / supervised],
        "packing_efficiency": [None, packing_efficiency(lengths, PACK)],
        "operations_a_sample_forward": [sum(one for one, _ in each) / number, ours[0] / number],
        "operations_a_sample_forward_backward": [sum(both for _, both in each) / number, ours[1] / number],
        "kept_bytes_a_token_and_layer": [bytes_official, bytes_ours],
    }


def _bytes(tokenizer: Path) -> tuple[float, float]:
    """Of a layer and token: what three layers keep beyond what two do."""
    official, ours = [], []
    for layers in (2, 3):
        model = paper_model(tokenizer, layers)
        sample = of_tokens(model, encoded_samples(model)[1], TOKENS)
        with attention(model, "eager"):
            official.append(kept_bytes(model, lambda: official_forward(model, sample)))  # noqa: B023
        batch: Batch = pack([sample] * 2, length=2 * TOKENS, longest=TOKENS).to("meta")
        ours.append(kept_bytes(model, lambda: model(batch)))  # noqa: B023
    return (official[1] - official[0]) / TOKENS, (ours[1] - ours[0]) / (2 * TOKENS)


LINES = (
    ("logit rows per supervised token", "logit_rows_per_supervised_token", 1, "{:.2f}"),
    (f"packing: share of {PACK:,} tokens that is no padding", "packing_efficiency", 1, "{:.4f}"),
    ("dispatched operations a sample, forward", "operations_a_sample_forward", 1, "{:,.0f}"),
    ("dispatched operations a sample, forward and backward", "operations_a_sample_forward_backward", 1, "{:,.0f}"),
    ("KiB kept a token and layer", "kept_bytes_a_token_and_layer", 1024, "{:.1f}"),
)


def main(options: argparse.Namespace) -> dict[str, Any]:
    found = count(options.layers, options.draws)
    if options.json:
        print(json.dumps(found))
        return found
    print(f"{options.layers} layers, {len(IMAGES)} samples of {found['images_a_sample']:.2f} images in a pack")
    print(f"{'':54}{'official loop':>14}{'ours':>10}")
    for title, key, unit, form in LINES:
        cells = ["-" if value is None else form.format(value / unit) for value in found[key]]
        print(f"{title:54}{cells[0]:>14}{cells[1]:>10}")
    return found


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--draws", type=int, default=20_000, help="whose lengths are packed")
    return parser.parse_args(given)


if __name__ == "__main__":
    main(arguments())
