"""Assesses a person's own images: answers in words, or as JSON for a program to read."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from omegaconf import DictConfig

from experiments.answerers import sentence_embedder
from experiments.checkpoints import open_model

FORMATS = ("text", "json")


def run(cfg: DictConfig) -> dict[str, float]:
    """`program=assess`: one image is described, two (`image=`, `other=`) are compared with reasons.

    The answer is all that goes to stdout. Returns the probability that `image` is the better of two.
    """
    if cfg.format not in FORMATS:
        raise ValueError(f"format '{cfg.format}' unknown; choose {', '.join(FORMATS)} (format=...)")
    if cfg.image is None:
        raise ValueError("no image to assess; give image=PATH (and reference=PATH, other=PATH)")
    from depictqa.assess import Assessor
    from depictqa.image import load_image

    for path in (cfg.image, cfg.reference, cfg.other):
        if path is not None:
            load_image(str(path))  # so that a mistyped one is said before a model of gigabytes is opened
    with redirect_stdout(sys.stderr):  # whatever libraries print while they load
        assessor = Assessor(open_model(cfg), cfg.evaluation.max_new_tokens, sentence_embedder(cfg))
        if cfg.other is None:
            found = assessor.describe(cfg.image, cfg.reference, cfg.question)
        else:
            found = assessor.explain(cfg.image, cfg.other, cfg.reference, cfg.question)
    print(found.to_json() if cfg.format == "json" else found.to_text(), flush=True)
    return {} if found.probability_of_a is None else {"probability_of_a": found.probability_of_a}
