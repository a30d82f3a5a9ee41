"""Two distortions in one image, and which orders of two make sense.

An order (first, second) makes sense if both can still be told in the result, that is, if the second does not
erase, bury or undo the first. That follows from what the classes do:

- *Tone and colour* classes (brighten, darken, contrast, saturate) map each pixel's colour and leave structure
  where it is. *Structure* classes (the other six) change neighbours relative to each other and hardly the means
  of large areas. So a tone or colour class goes with any structure class, in either order.
- Structure classes have to follow the chain that forms an image: optics and sampling (blur, pixelate), sensor
  (noise), development (oversharpen), tones stored (quantization), coding (compression). Later stages act
  on the structure of earlier ones and leave it visible. Backwards, a low-pass takes away the grain, halos, bands
  and block edges made before it (at severity 3, blur leaves 38 % of the change made by noise or
  oversharpening, and 60 % of compression's, against 80 % and more forwards), and noise on top dithers bands
  and buries block edges.
- Blur and pixelation share a stage: each removes the detail by which the other is seen. Neither order.
- *Opposed* classes undo each other: brighten and darken; the two directions of contrast and of saturation;
  sharpening what was blurred. Contrast scales distances between colours along with those between tones, so
  weakened contrast also undoes strengthened saturation, and the reverse. Neither order.
- One class twice is that class at another severity. Neither order.

The percentages are measured by the test of this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from datamodules.distortions import CLASS_OF, CLASSES, distort

MULTI_SEVERITIES = (1, 3, 4)  # slight, obvious, serious: those that DQ-495K combines

# Place in the chain that forms an image; tone and colour classes have none.
STAGE = {"blur": 0, "pixelate": 0, "noise": 1, "oversharpen": 2, "quantization": 3, "compression": 4}

OPPOSED = frozenset(
    frozenset(pair)
    for pair in (
        ("brighten", "darken"),
        ("contrast_strengthen", "contrast_weaken"),
        ("saturate_strengthen", "saturate_weaken"),
        ("contrast_weaken", "saturate_strengthen"),
        ("contrast_strengthen", "saturate_weaken"),
        ("blur", "oversharpen"),
    )
)

Step = tuple[str, int]  # (function, severity)


def makes_sense(first: str, second: str) -> bool:
    """Whether both can be told after `first`, then `second` (names of classes or functions)."""
    first, second = _class_of(first), _class_of(second)
    if first == second or frozenset((first, second)) in OPPOSED:
        return False
    if first in STAGE and second in STAGE:
        return STAGE[first] < STAGE[second]
    return True


def compose(image: np.ndarray, steps: Sequence[Step], rng: np.random.Generator) -> np.ndarray:
    """[H, W, 3] uint8 RGB -> the same shape, with two (function, severity) steps applied in the order given.

    Raises ValueError where the order makes no sense, and as `distort` does.
    """
    if len(steps) != 2:
        raise ValueError(f"compose takes two steps, got {len(steps)}; use distort for one")
    (first, first_severity), (second, second_severity) = steps
    if not makes_sense(first, second):
        remedy = "swap them" if makes_sense(second, first) else "choose two that do not hide or undo each other"
        raise ValueError(f"{first} then {second}: not both visible in the result; {remedy}")
    return distort(distort(image, first, first_severity, rng), second, second_severity, rng)


def draw_pair(rng: np.random.Generator, severities: Sequence[int] = MULTI_SEVERITIES) -> tuple[Step, Step]:
    """A random pair of steps in an order that makes sense: each pair of classes that has one is equally likely,
    then each such order, each function of the classes, each severity.
    """
    pairs = [pair for pair in combinations(CLASSES, 2) if makes_sense(*pair) or makes_sense(*pair[::-1])]
    pair = pairs[rng.integers(len(pairs))]
    orders = [order for order in (pair, pair[::-1]) if makes_sense(*order)]
    first, second = (
        (CLASSES[name][rng.integers(len(CLASSES[name]))], int(severities[int(rng.integers(len(severities)))]))
        for name in orders[rng.integers(len(orders))]
    )
    return first, second


def _class_of(name: str) -> str:
    name = CLASS_OF.get(name, name)
    if name not in CLASSES:
        raise ValueError(f"distortion {name!r} unknown; choose a class ({', '.join(CLASSES)}) or a function of one")
    return name
