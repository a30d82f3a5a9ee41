"""The batches that a token budget is tried with are as large as any that a plan makes with it."""

import pytest

from datamodules.detailed import DetailedDataModule
from datamodules.mixture import MixtureDataModule
from datamodules.templated import TemplatedDataModule
from datamodules.worst_case import WorstCase


@pytest.mark.parametrize("packing", ["none", "step"])
def test_they_are_of_the_longest_the_most_pictured_and_the_most_answered(sources, encoder, packing):
    modules = {"templated": TemplatedDataModule, "detailed": DetailedDataModule}
    parts = {name: module(sources / name) for name, module in modules.items()}
    data = MixtureDataModule(parts, {"detailed": 1}, encoder, batch_size=6, token_budget="auto", packing=packing)
    worst = WorstCase(data.feed)
    longest = int(data.feed.measured("train")[1].whole.max())
    assert worst.longest >= longest and worst.most >= 6 * longest
    for tokens in (worst.longest, 3 * worst.longest):
        batches = list(worst.batches(tokens))
        assert 1 <= len(batches) <= 3
        assert max(batch.num_tokens for batch in batches) <= max(tokens, worst.longest)
        assert max(len(batch.supervised) for batch in batches) > 0
        for batch in batches:
            rows = batch.num_samples
            images = sum(len(group) for group in batch.pixels)
            assert rows == max(1, tokens // int((batch.segments == 1).sum())) and images % rows == 0
            assert images >= rows, "equal images were kept once"
    data.feed.token_budget = worst.most
    data.setup("fit", world_size=1, rank=0)
    assert data.accumulate == 1, "a whole step"
    assert max(batch.num_tokens for batch in data.train_dataloader()) <= worst.most
