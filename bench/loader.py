"""Samples a second from files to the tensors of a step: our loader beside the official transform.

uv run python bench/loader.py [--help]

The official transform, written from its description: each image is opened, made RGB, scaled by Pillow (bicubic), cut or
padded about its centre, turned to float32 and normalised, one sample at a time. Ours: shards -> uint8 batches, which
are normalised where the vision tower is. Both read the same images through the same kind of worker processes (the
official loop decodes within the model's step: worse), from a warm cache, in turns. No random crop, so that pixels can
be compared. Photos are those that installed packages carry.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import functional as transforms

from bench.cpu_time import cpu_seconds
from datamodules.loader import MicroBatches, in_order
from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from datamodules.sources.photos import PHOTOS, load_pixels
from datamodules.templated import TemplatedDataModule
from depictqa.batch import Batch, collate
from depictqa.encode import Encoder
from depictqa.image import CLIP_MEAN, CLIP_STD, ImageGeometry
from depictqa.models.vision import normalise
from depictqa.prompt import PromptStyle
from depictqa.sample import Slot, Task, Truth, Turn
from depictqa.testing import tiny_tokenizer

GEOMETRY = ImageGeometry()
BATCH = 16  # samples
WARM_UP = 8  # batches


@dataclass(frozen=True)
class Kind:
    """Images as a public dataset has them: crops of `source` px, enlarged or not to `size` (width, height)."""

    name: str
    size: tuple[int, int]
    source: tuple[int, int]
    file: str
    slots: tuple[Slot, ...]
    draws: int  # thousands, in the paper's epoch: with and without a reference, which we count as with


PAIR = (Slot.REFERENCE, Slot.A, Slot.B)
KINDS = (
    Kind("BAPPS: 3 PNGs, 256x256, enlarged from 64x64", (256, 256), (64, 64), "PNG", PAIR, 231),
    Kind("PIPAL: 3 PNGs, 288x288", (288, 288), (288, 288), "PNG", PAIR, 140),
    Kind("KADID: 3 PNGs, 512x384", (512, 384), (512, 384), "PNG", PAIR, 60),
    Kind("COCO: 1 JPEG, 640x480", (640, 480), (640, 480), "JPEG", (Slot.A,), 97),
)
FORMS: dict[str, dict[str, Any]] = {
    "shards": {},
    "shards, compressed=false": {"compressed": False},
    "shards, baked=true": {"bake": GEOMETRY},
    "shards, baked=true compressed=false": {"bake": GEOMETRY, "compressed": False},
}


class Official(Dataset[list[torch.Tensor]]):
    """Each sample's files -> its float32 images, [3, H, W] each."""

    def __init__(self, samples: Sequence[Sequence[Path]]) -> None:
        self.samples = samples

    def __getitem__(self, number: int) -> list[torch.Tensor]:
        return [official_transform(path) for path in self.samples[number]]


def official_transform(path: Path) -> torch.Tensor:
    """[3, H, W]: see above, and FACTS section 2 for the sizes."""
    image = Image.open(path).convert("RGB")
    image = image.resize(GEOMETRY.resized(image.size), Image.Resampling.BICUBIC)
    width, height = GEOMETRY.padded(image.size)
    pixels = transforms.to_tensor(transforms.center_crop(image, [height, width]))
    return transforms.normalize(pixels, CLIP_MEAN, CLIP_STD)


def image_files(kind: Kind, num_samples: int, folder: Path) -> list[list[Path]]:
    """Crops of the embedded photos, each slot with noise of its own, as files of the kind's format."""
    width, height = kind.source
    photos = [load_pixels(photo) for photo in PHOTOS]
    photos = [photo for photo in photos if photo.shape[0] >= height and photo.shape[1] >= width]
    rng = np.random.default_rng(0)
    samples = []
    folder.mkdir()
    for number in range(num_samples):
        photo = photos[number % len(photos)]
        top, left = (
            int(rng.integers(have - want + 1)) for have, want in zip(photo.shape, (height, width), strict=False)
        )
        crop = photo[top : top + height, left : left + width].astype(np.int16)
        paths = []
        for place, slot in enumerate(kind.slots):
            noise = rng.integers(-3 * place, 3 * place + 1, crop.shape)
            image = Image.fromarray(np.clip(crop + noise, 0, 255).astype(np.uint8))
            paths.append(folder / f"{number:04d}.{slot}.{kind.file.lower()}")
            image.resize(kind.size, Image.Resampling.BICUBIC).save(paths[-1], kind.file)
        samples.append(paths)
    return samples


def write_shards(root: Path, kind: Kind, samples: Sequence[Sequence[Path]], form: dict[str, Any]) -> float:
    """Bytes of an image."""
    task, said = (Task.CONTENT, "A flower.") if len(kind.slots) == 1 else (Task.COMPARISON, "Image A")
    asked = RecordSample(task, kind.slots, (Turn("What is there?", said),), Truth())
    with ShardWriter(root, "train", source="made", licence="x", seed=0, **form) as writer:
        for number, paths in enumerate(samples):
            images = {slot: path.read_bytes() for slot, path in zip(kind.slots, paths, strict=True)}
            writer.write(Record(f"{number:04d}", images, (asked,)))
    num_images = len(samples) * len(kind.slots)
    return sum(path.stat().st_size for path in root.rglob("*.tar")) / num_images


class Ours(Dataset[Batch]):
    """Batches of `BATCH` samples of the shards in `root`, from the loader that training uses."""

    def __init__(self, root: Path, encoder: Encoder) -> None:
        self.feed = TemplatedDataModule(root, encoder, batch_size=BATCH, token_budget=1 << 20, crop=False).feed
        object.__setattr__(self.feed.sources[0], "tasks", frozenset(Task))
        samples = self.feed.samples("train")
        self.batches = MicroBatches(samples, encoder, self.feed.plan, crop=False)
        self.num_batches = len(samples) // BATCH

    def __getitem__(self, number: int) -> Batch:
        batch, unread = self.batches[0, number % self.num_batches]
        assert not unread
        return batch


def rate(dataset: Dataset[Any], places: Sequence[int], size: int, warm_up: int, workers: int) -> tuple[float, float]:
    """Samples a second, of what comes after `warm_up` items, each of `size` samples; and milliseconds of CPU a sample,
    of all processes and items: what other programs do on the machine hardly changes that."""
    warm_up = min(warm_up, len(places))
    used = cpu_seconds()
    items = iter(in_order(dataset, [*places[:warm_up], *places], workers))
    for _ in range(warm_up):
        next(items)
    start = time.perf_counter()
    count = sum(1 for _ in items)
    seconds = time.perf_counter() - start
    assert count == len(places)
    del items  # ends the processes
    return count * size / seconds, 1e3 * (cpu_seconds() - used) / ((warm_up + count) * size)


def largest_difference(encoder: Encoder, root: Path, samples: Sequence[Sequence[Path]]) -> tuple[int, float]:
    """Between our batches and the official transform: of pixels as bytes, and of what the vision tower gets."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    ours = TemplatedDataModule(root, encoder).samples("train")
    pixels, values = 0, 0.0
    for sample, paths in zip(ours, samples, strict=True):
        (batch,) = collate([encoder.encode(sample)]).pixels
        official = torch.stack([official_transform(path) for path in paths])
        as_bytes = ((official * std + mean) * 255).round()
        pixels = max(pixels, int((as_bytes - batch).abs().max()))
        values = max(values, float((normalise(batch, mean, std) - official).abs().max()))
    return pixels, values


def measure(kind: Kind, options: argparse.Namespace, folder: Path, encoder: Encoder) -> dict[str, Any]:
    """All ways in turns, `options.rounds` times."""
    samples = image_files(kind, options.samples, folder / "files")
    size = sum(path.stat().st_size for paths in samples for path in paths) / (len(samples) * len(kind.slots))
    kilobytes = {"official transform, files": size / 1e3}
    times = -(-options.draws // len(samples))
    draws = [*range(len(samples))] * times
    official = Official(samples)
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "official transform, files": lambda: rate(official, draws, 1, WARM_UP * options.workers, options.workers)
    }
    differences = []
    for number, (name, form) in enumerate(FORMS.items()):
        root = folder / str(number)
        kilobytes[name] = write_shards(root, kind, samples, form) / 1e3
        differences.append(largest_difference(encoder, root, samples))
        ours = Ours(root, encoder)
        places = [*range(ours.num_batches)] * times
        ways[name] = lambda ours=ours, places=places: rate(ours, places, BATCH, WARM_UP, options.workers)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            found[name].append(way())
    base = found["official transform, files"]
    rows = [
        {
            "way": name,
            "samples_per_second": [one for one, _ in rounds],
            "times_official": [one / other for (one, _), (other, _) in zip(rounds, base, strict=True)],
            "cpu_ms_a_sample": [cpu for _, cpu in rounds],
            "cpu_times_official": [other / cpu for (_, cpu), (_, other) in zip(rounds, base, strict=True)],
            "kilobytes_an_image": kilobytes[name],
        }
        for name, rounds in found.items()
    ]
    pixels, values = (max(one) for one in zip(*differences, strict=True))
    return {"kind": kind.name, "rows": rows, "pixels_differ_by": pixels, "normalised_differ_by": values}


def mixed(kinds: Sequence[Kind], found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same of draws from all kinds, as often as the paper's epoch has them: the mean of the times they take."""
    weights = np.array([kind.draws for kind in kinds]) / sum(kind.draws for kind in kinds)
    rows = []
    for number, row in enumerate(found[0]["rows"]):
        of_kinds = [one["rows"][number] for one in found]
        rates = 1 / (weights @ [1 / np.array(one["samples_per_second"]) for one in of_kinds])
        cpu = weights @ [one["cpu_ms_a_sample"] for one in of_kinds]
        images = weights * [len(kind.slots) for kind in kinds]
        size = float(images @ [one["kilobytes_an_image"] for one in of_kinds] / images.sum())
        base = rows[0] if rows else {"samples_per_second": rates, "cpu_ms_a_sample": cpu}
        rows.append(
            {
                "way": row["way"],
                "samples_per_second": rates.tolist(),
                "times_official": (rates / base["samples_per_second"]).tolist(),
                "cpu_ms_a_sample": cpu.tolist(),
                "cpu_times_official": (np.array(base["cpu_ms_a_sample"]) / cpu).tolist(),
                "kilobytes_an_image": size,
            }
        )
    differ = {key: max(one[key] for one in found) for key in ("pixels_differ_by", "normalised_differ_by")}
    return {"kind": "all of these, as often as the paper draws them", "rows": rows, **differ}


def main(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(Path(name) / "tokenizer"))
        encoder = Encoder(tokenizer, PromptStyle(), GEOMETRY)
        kinds = [kind for kind in KINDS if kind.name.split(":")[0].lower() in options.kinds]
        found = []
        for kind in kinds:
            folder = Path(name) / kind.name.split(":")[0]
            folder.mkdir()
            found.append(measure(kind, options, folder, encoder))
            if not options.json:
                show(found[-1], options)
    if len(kinds) > 1:
        found.append(mixed(kinds, found))
        if not options.json:
            show(found[-1], options)
    result = {"processes": options.workers, "samples": options.samples, "rounds": options.rounds, "kinds": found}
    if options.json:
        print(json.dumps(result))
    return result


def show(found: dict[str, Any], options: argparse.Namespace) -> None:
    out = io.StringIO()
    print(f"\n{found['kind']}; {options.workers} processes, {options.rounds} rounds", file=out)
    head = f"{'samples/s':>10}{'(min .. max)':>16}{'times':>7}{'(min .. max)':>16}{'CPU ms':>8}{'times':>7}"
    print(f"{'':36}{head}{'kB/image':>10}", file=out)
    for row in found["rows"]:
        rates, times = row["samples_per_second"], row["times_official"]
        spread, times_spread = f"({min(rates):.0f} .. {max(rates):.0f})", f"({min(times):.2f} .. {max(times):.2f})"
        print(
            f"{row['way']:36}{statistics.median(rates):10.0f}{spread:>16}{statistics.median(times):7.2f}"
            f"{times_spread:>16}{statistics.median(row['cpu_ms_a_sample']):8.2f}"
            f"{statistics.median(row['cpu_times_official']):7.2f}{row['kilobytes_an_image']:10.1f}",
            file=out,
        )
    print(
        f"pixels differ by {found['pixels_differ_by']}, what the vision tower gets by "
        f"{found['normalised_differ_by']:.1e} at most",
        file=out,
    )
    print(out.getvalue(), end="", flush=True)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    names = [kind.name.split(":")[0].lower() for kind in KINDS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--kinds", nargs="+", choices=names, default=names)
    parser.add_argument("--samples", type=int, default=64, help="that differ, a multiple of the batch of 16")
    parser.add_argument("--draws", type=int, default=256, help="of them a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes that read, for either way")
    options = parser.parse_args(given)
    if options.samples < BATCH or options.samples % BATCH:
        parser.error(f"--samples is {options.samples}; give a multiple of {BATCH}")
    return options


if __name__ == "__main__":
    main(arguments())
