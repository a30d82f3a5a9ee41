"""All pairs of a reference's images on a CPU: shared beginnings and one forward against each answer generated.

uv run python bench/voting.py [--help]

A small model with the released prompt is trained on the spot until it answers as the brief comparisons of the training
data do: once in a sentence, once in a single word. Both ways then judge all pairs of distorted images of one photo, in
turns, in the same process. The tokens per pair are
those of the plan that voting runs, for as many images as a reference has in KADID-10k and TID2013 (120).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from datamodules.distortions import FUNCTIONS, SEVERITIES, distort
from datamodules.sources.photos import PHOTOS, load_pixels
from datamodules.writers.pools import SINGLE_WORD_TAIL
from depictqa import official
from depictqa.assess import BRIEF
from depictqa.encode import Encoder
from depictqa.image import ImageGeometry
from depictqa.models.config import LanguageConfig, ModelConfig, VisionConfig
from depictqa.models.depictqa import DepictQA
from depictqa.models.language import legacy_pieces, load_tokenizer
from depictqa.parsing import parse_preference
from depictqa.sample import Sample, Slot, Task, Turn
from depictqa.testing import TEXTS, overfit, tiny_tokenizer
from depictqa.tokenizer import prompt_texts
from depictqa.voting import plan_votes, run_votes

PATCH = 14

FORMS = {BRIEF.removesuffix(SINGLE_WORD_TAIL): "{better} has better quality than {worse}.", BRIEF: "{better}"}
"""Questions and how they are answered: two of the forms that brief comparisons have in the training data."""


def small_model(tokenizer: Path, options: argparse.Namespace) -> DepictQA:
    """CLIP's and LLaMA's architectures at `options`' sizes, with the weights of `options.seed`."""
    torch.manual_seed(options.seed)
    width, grid = options.vision_width, options.image_size // PATCH
    heads = max(1, options.width // 32)
    return DepictQA.build(
        ModelConfig(
            vision=VisionConfig(
                architecture={
                    "image_size": grid * PATCH, "patch_size": PATCH, "width": width, "layers": options.vision_layers,
                    "heads": max(1, width // 32), "mlp_ratio": 4.0, "output_dim": width,
                },
                patch_init="cosine",
                trainable=True,
            ),
            language=LanguageConfig(
                tokenizer=str(tokenizer),
                tuning="full",
                architecture={
                    "model_type": "llama", "hidden_size": options.width, "intermediate_size": 3 * options.width,
                    "num_hidden_layers": options.layers, "num_attention_heads": heads, "num_key_value_heads": heads,
                    "max_position_embeddings": 4096, "initializer_range": options.width**-0.5,
                },
            ),
            prompt=official.style(),
            image=ImageGeometry(short_side=options.image_size, long_side=3 * options.image_size),
        )
    )  # fmt: skip


def photo(side: int) -> np.ndarray:
    pixels = load_pixels(next(photo for photo in PHOTOS if photo.name == "coffee"))
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)


def distorted_images(side: int, count: int) -> list[Image.Image]:
    """By rising severity, each severity with functions of its own."""
    reference, names = photo(side), list(FUNCTIONS)
    images = []
    for number in range(count):
        severity = SEVERITIES[number * len(SEVERITIES) // count]
        pixels = distort(reference, names[number * 7 % len(names)], severity, np.random.default_rng(number))
        images.append(Image.fromarray(pixels))
    return images


def all_samples(images: Sequence[Image.Image], reference: Image.Image, question: str) -> list[Sample]:
    """All pairs in seeded order of their images, answered by which severity is lower."""
    samples = []
    for first, second in combinations(range(len(images)), 2):
        slots = {Slot.REFERENCE: reference, Slot.A: images[first], Slot.B: images[second]}
        samples.append(Sample(f"{first}-{second}", Task.COMPARISON, slots, (Turn(question),)))
    return samples


def answered(samples: Sequence[Sample], places: Sequence[int], form: str) -> list[Sample]:
    """The samples with the answer that the image of the lower place is the better one."""
    result = []
    for sample in samples:
        first, second = map(int, sample.key.split("-"))
        better, worse = ("Image A", "Image B") if places[first] < places[second] else ("Image B", "Image A")
        turn = replace(sample.dialogue[-1], answer=form.format(better=better, worse=worse))
        result.append(replace(sample, dialogue=(turn,)))
    return result


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(model: DepictQA, question: str, form: str, options: argparse.Namespace) -> dict[str, object]:
    """Pairs per second of both ways, and whether they pick the same images."""
    reference = Image.fromarray(photo(options.source_size))
    order = np.random.default_rng(options.seed).permutation(options.images)
    ranked = distorted_images(options.source_size, options.images)
    images = [ranked[place] for place in order]
    samples = all_samples(images, reference, question)
    learned = answered(samples, order.tolist(), form)[:: options.train_every]
    loss = overfit(model, learned, options.steps, options.lr)

    def vote() -> torch.Tensor:
        return run_votes(model, plan_votes(model.encoder, images, reference, question), options.batch_size)

    def generate() -> list:
        return model.answer(samples, options.max_new_tokens, options.batch_size)

    shares, answers = vote(), generate()  # these also warm up
    picked = [parse_preference(answer.text).better for answer in answers]
    voted = [Slot.A if shares[pair] > 0.5 else Slot.B for pair in combinations(range(len(images)), 2)]
    read = [(one, other) for one, other in zip(picked, voted, strict=True) if one is not None]
    seconds = [(seconds_of(vote), seconds_of(generate)) for _ in range(options.repeats)]
    return {
        "question": question,
        "num_pairs": len(samples),
        "train_loss": loss,
        "answers_read": len(read),
        "answers_image_a": sum(one is Slot.A for one, _ in read),
        "same_decisions": sum(one is other for one, other in read),
        "answer_tokens": statistics.mean(len(answer.token_ids) for answer in answers),
        "voting_pairs_per_second": [len(samples) / one for one, _ in seconds],
        "generating_pairs_per_second": [len(samples) / other for _, other in seconds],
        "speedup": [other / one for one, other in seconds],
    }


def tokens_per_pair(encoder: Encoder, count: int) -> dict[str, float]:
    """At the paper's sizes: images of 256x256, scaled to 224, a token for each of 256 patches."""
    picture = Image.fromarray(photo(256))
    plan = plan_votes(encoder, [picture] * count, picture)
    pairs = plan.num_pairs
    return {"images": count, "shared": plan.num_tokens / pairs, "unshared": plan.num_unshared_tokens / pairs}


def paper_encoder(tokenizer: Path) -> Encoder:
    config = LanguageConfig(tokenizer=str(tokenizer))
    loaded = load_tokenizer(config)
    return Encoder(loaded, official.style(), ImageGeometry(), tokenize=legacy_pieces(config, loaded))


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):8.2f}   ({min(values):.2f} .. {max(values):.2f})"


def show(found: dict[str, object], options: argparse.Namespace) -> None:
    timings: list[dict] = found["timings"]  # type: ignore[assignment]
    tokens: dict = found["tokens_per_pair"]  # type: ignore[assignment]
    print(f"images of {options.image_size} px, language model {options.width} wide with {options.layers} layers, "
          f"vision tower {options.vision_width} wide with {options.vision_layers} layers")  # fmt: skip
    print(f"{options.images} images, {timings[0]['num_pairs']} pairs, batches of {options.batch_size}, "
          f"{torch.get_num_threads()} thread(s); median of {options.repeats} (least .. most)")  # fmt: skip
    for timing in timings:
        print(f"{timing['question']} {timing['answer_tokens']:.1f} tokens an answer")
        print(f"  voting, shared beginnings     {spread(timing['voting_pairs_per_second'])} pairs/s")
        print(f"  generating each answer        {spread(timing['generating_pairs_per_second'])} pairs/s")
        print(f"  voting is faster by           {spread(timing['speedup'])} times")
        print(f"  same decisions                {timing['same_decisions']} of {timing['answers_read']} answers read "
              f"({timing['answers_image_a']} of them Image A)")  # fmt: skip
    print(f"LLM tokens per pair, {tokens['images']} images, {found['tokenizer']}")
    print(f"  shared beginnings             {tokens['shared']:8.1f}")
    print(f"  each pair on its own          {tokens['unshared']:8.1f}")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, meaning in (
        ("images", 9, "images of the reference"),
        ("source-size", 256, "their side in pixels"),
        ("image-size", 70, "the side to which they are scaled"),
        ("width", 64, "of the language model"),
        ("layers", 4, "of the language model"),
        ("vision-width", 64, "of the vision tower"),
        ("vision-layers", 3, "of the vision tower"),
        ("batch-size", 16, "pairs in a batch, both ways"),
        ("max-new-tokens", 16, "of a generated answer"),
        ("repeats", 5, "of each measurement"),
        ("steps", 120, "of training"),
        ("train-every", 3, "train on each such pair"),
        ("tokens-images", 120, "images of a reference for which tokens are counted"),
        ("threads", 1, "of torch"),
        ("seed", 0, "of the model"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default {default})")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate of the training (default 2e-3)")
    parser.add_argument("--tokenizer", type=Path, help="folder of a tokenizer to count tokens with, such as LLaMA's")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser.parse_args(given)


def main(options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = tiny_tokenizer(Path(folder), (*TEXTS, *prompt_texts(official.style()), BRIEF), 1000)
        timings = [
            measure(small_model(tokenizer, options), question, form, options) for question, form in FORMS.items()
        ]
        tokens = tokens_per_pair(paper_encoder(options.tokenizer or tokenizer), options.tokens_images)
    name = f"tokenizer {options.tokenizer}" if options.tokenizer else "a small tokenizer trained on the spot"
    found = {"timings": timings, "tokens_per_pair": tokens, "tokenizer": name}
    if options.json:
        print(json.dumps(found))
    else:
        show(found, options)
    return found


if __name__ == "__main__":
    main(arguments())
