"""One score for each image: a model's mean over level words, or a score metric's own, against people's mean scores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from depictqa.evaluation.benchmark import reply_result
from depictqa.evaluation.rated_images import RatedGroup, singles
from depictqa.evaluation.result import Result, Seen, make_result
from depictqa.sample import Sample

logger = logging.getLogger(__name__)


class Levels:
    """A benchmark. Who cannot `grade` is not asked, which is told once."""

    def __init__(self, name: str, groups: Sequence[RatedGroup], references: Sequence[bool] = (True, False)) -> None:
        self.name = name
        self.samples: Sequence[Sample] = singles(groups, references)
        self._told: set[str] = set()

    def fits(self, answerer: Any, seen: Seen) -> bool:
        if not hasattr(answerer, "grade"):
            if answerer.name not in self._told:
                logger.warning("%s: %s is skipped, it gives no score to a single image", self.name, answerer.name)
                self._told.add(answerer.name)
            return False
        return seen.full_reference or not answerer.needs_reference

    def ask(self, answerer: Any, samples: Sequence[Sample]) -> list[Result]:
        return [
            reply_result(sample, self.name, answerer.name, reply)
            for sample, reply in zip(samples, answerer.grade(samples), strict=True)
        ]

    def unread(self, answerer: Any, seen: Seen, error: str) -> Result:
        return make_result(seen, self.name, answerer.name, error=error)
