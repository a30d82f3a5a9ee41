"""Several images as one picture, side by side under their names, for models that take a single image."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

GAP = 8
"""Pixels of white between two images, and about a name."""

SMALLEST_LETTERS = 14
"""Pixels. Larger images have larger letters, `LETTERS` of the tallest one's height."""

LETTERS = 1 / 14


def side_by_side(images: Mapping[str, Image.Image]) -> Image.Image:
    """The named images from left to right, each under its name in black on white.

    Every image keeps its own pixels: none is scaled, and none is covered. A shorter one stands at the top of its
    column, a column is as wide as its image or its name. One image alone comes back as it is.
    """
    if not images:
        raise ValueError("no image to put in the picture; give at least one")
    if len(images) == 1:
        return next(iter(images.values())).convert("RGB")
    tallest = max(image.height for image in images.values())
    font = ImageFont.load_default(max(SMALLEST_LETTERS, round(tallest * LETTERS)))
    boxes = {name: font.getbbox(name) for name in images}
    strip = round(max(box[3] for box in boxes.values())) + 2 * GAP
    widths = [max(image.width, round(boxes[name][2]) + 2) for name, image in images.items()]
    canvas = Image.new("RGB", (sum(widths) + GAP * (len(widths) - 1), strip + tallest), "white")
    draw = ImageDraw.Draw(canvas)
    left = 0
    for (name, image), width in zip(images.items(), widths, strict=True):
        draw.text((left + (width - boxes[name][2]) / 2, GAP), name, fill="black", font=font)
        canvas.paste(image.convert("RGB"), (left + (width - image.width) // 2, strip))
        left += width + GAP
    return canvas
