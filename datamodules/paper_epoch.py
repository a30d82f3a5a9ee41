"""The paper's epoch in numbers: which samples it draws, of how many tokens and images. For what is reckoned without the
data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depictqa.encode import ImageTokens
from depictqa.image import ImageGeometry

TEXT = {"pair": 104, "pair_ref": 135, "single": 81, "single_ref": 112, "content": 99}
"""Tokens of the released prompt around images, with a question and an answer of one token each, as LLaMA's tokenizer
cuts it."""

ANSWER_END = 3
"""Supervised tokens of an answer beyond its words: the line's end and `</s>`."""

IMAGES = {"pair": 2, "pair_ref": 3, "single": 1, "single_ref": 2, "content": 1}
SQUARE, KADID = [(256, 256)], [(512, 384)]
PHOTOS = [(640, 480)] * 10 + [(480, 640)] * 4 + [(640, 427)] * 2 + [(427, 640), (500, 500)]  # COCO's usual shapes
BRIEF, DESCRIPTION, REASONING = ((4, 12), (8, 19)), ((40, 100), (10, 20)), ((60, 160), (10, 20))

RECIPE = [  # records, repeats, kinds, sizes, tokens of (answer, question): FACTS section 3
    (115_646, 1, ("pair", "pair_ref"), SQUARE, BRIEF),
    (70_000, 1, ("pair", "pair_ref"), SQUARE, BRIEF),
    (30_000, 1, ("pair", "pair_ref"), KADID, BRIEF),
    (3_800, 20, ("pair", "pair_ref"), SQUARE, REASONING),
    (1_100, 20, ("single", "single_ref"), SQUARE, DESCRIPTION),
    (48_734, 2, ("content",), PHOTOS, REASONING),
]
NUM_DRAWS = sum(records * repeats * len(kinds) for records, repeats, kinds, *_ in RECIPE)


@dataclass(frozen=True)
class Draws:
    """Of an epoch, in its order."""

    tokens: np.ndarray  # [draws] of their streams
    supervised: np.ndarray  # [draws] of them
    patches: np.ndarray  # [draws, 3] of each image, 0 where there is none


def paper_draws(
    num: int,
    seed: int = 0,
    crop: bool = True,
    geometry: ImageGeometry | None = None,
    image_tokens: ImageTokens | None = None,
) -> Draws:
    """`num` draws at random; with the random crop of training.

    How many images of which size is the recipe's; how long texts are is a guess (uniform between the bounds above).
    """
    rng = np.random.default_rng(seed)
    geometry, image_tokens = geometry or ImageGeometry(), image_tokens or ImageTokens()
    shares = [
        (records * repeats, kind, sizes, texts) for records, repeats, kinds, sizes, texts in RECIPE for kind in kinds
    ]
    counts = np.array([draws for draws, *_ in shares])
    chosen = rng.choice(len(shares), num, p=counts / counts.sum())
    tokens, supervised = np.empty(num, dtype=np.int64), np.empty(num, dtype=np.int64)
    patches = np.zeros((num, max(IMAGES.values())), dtype=np.int64)
    for number, (_, kind, sizes, (answer, question)) in enumerate(shares):
        here = np.flatnonzero(chosen == number)
        answers = rng.integers(*answer, len(here), endpoint=True)
        texts = answers + rng.integers(*question, len(here), endpoint=True)
        scaled = np.array([geometry.resized(size) for size in sizes])
        sides = scaled[rng.integers(len(sizes), size=len(here))][:, None].repeat(IMAGES[kind], axis=1)
        if crop:
            sides = geometry.cropped(sides, rng.uniform(geometry.crop_min, 1.0, sides.shape))
        grid = geometry.patches(sides)  # [draws, images, 2]
        patches[here, : IMAGES[kind]] = grid.prod(-1)
        of_images = np.broadcast_to(image_tokens((grid[..., 1], grid[..., 0])), grid.shape[:-1]).sum(-1)
        tokens[here] = TEXT[kind] - 2 + texts + of_images
        supervised[here] = answers + ANSWER_END
    return Draws(tokens, supervised, patches)
