"""A benchmark's questions and images as plain files, for models that are run outside of this code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from depictqa.prompt import image_names, without_marker
from depictqa.sample import Sample
from depictqa.whole_file import write_whole

QUESTIONS, IMAGES = "questions.jsonl", "images"


def write_questions(samples: Sequence[Sample], folder: Path) -> Path:
    """`questions.jsonl`, a line a sample in their order, and its images as PNG; returns the former's path.

    {"key", "task", "full_reference", "question", "images": {"Image A": "images/000000_a.png", ...}}: the images by
    what the question calls them, in their order, relative to `folder`. No line holds an answer. The file comes last:
    where it is, all images are.
    """
    if not len(samples):
        raise ValueError("no questions to write: the benchmark has no samples")
    folder = Path(folder)
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(len(samples)):
        sample = samples[number]
        images = {}
        for slot, name in image_names(sample.images).items():
            images[name] = f"{IMAGES}/{number:06d}_{slot}.png"
            sample.images[slot].save(folder / images[name])
        lines.append(
            {
                "key": sample.key,
                "task": str(sample.task),
                "full_reference": sample.full_reference,
                "question": without_marker(sample.dialogue[-1].question),
                "images": images,
            }
        )
    write_whole(folder / QUESTIONS, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return folder / QUESTIONS
