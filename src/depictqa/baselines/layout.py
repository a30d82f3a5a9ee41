"""How a sample's images are shown to another model: each behind its name, or all in one picture."""

from __future__ import annotations

from PIL import Image

from depictqa.baselines.side_by_side import side_by_side
from depictqa.prompt import image_names
from depictqa.sample import Sample

INTERLEAVED, SIDE_BY_SIDE = "interleaved", "side_by_side"
LAYOUTS = (INTERLEAVED, SIDE_BY_SIDE)

Pictures = list[tuple[str, Image.Image]]
"""What stands before each picture, and the picture."""


def laid_out(sample: Sample, layout: str) -> Pictures:
    """A picture alone has no name before it, as the question needs none."""
    names = image_names(sample.images)
    if layout == SIDE_BY_SIDE:
        picture = side_by_side({name: sample.images[slot] for slot, name in names.items()})
        shown = f"From left to right: {', '.join(names.values())}." if len(names) > 1 else ""
        return [(shown, picture)]
    return [(f"{name}:" if len(names) > 1 else "", sample.images[slot]) for slot, name in names.items()]


def check_layout(layout: str, row: str, group: str) -> None:
    """`group` is where the row's options stand."""
    if layout not in LAYOUTS:
        raise ValueError(f"baseline '{row}' has no layout '{layout}' ({group}.layout); known: {', '.join(LAYOUTS)}")
