"""The paper's epoch in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.paper_epoch import NUM_DRAWS, paper_draws
from depictqa.encode import ImageTokens


def test_an_epoch_has_the_papers_draws_and_images() -> None:
    assert NUM_DRAWS == pytest.approx(724_000, rel=0.002)
    draws = paper_draws(20_000)
    assert (draws.patches > 0).sum(1).mean() == pytest.approx(2.24, abs=0.02)
    assert (draws.supervised < draws.tokens).all() and draws.supervised.min() > 3


def test_a_streams_tokens_are_its_texts_and_its_images() -> None:
    by_patch, by_query = paper_draws(1000), paper_draws(1000, image_tokens=ImageTokens(64))
    images = (by_patch.patches > 0).sum(1)
    assert np.array_equal(by_patch.patches, by_query.patches)
    assert np.array_equal(by_patch.tokens - by_patch.patches.sum(1), by_query.tokens - 64 * images)
