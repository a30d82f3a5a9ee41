"""Several sources in one epoch, each repeated a whole number of times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, Unpack

from datamodules.feed import FedDataModule, Feed, FeedOptions, Source
from depictqa.encode import Encoder


class HasSource(Protocol):
    """A data module that can be part of a mixture."""

    source: Source


class MixtureDataModule(FedDataModule):
    """Batches drawn from all `sources` together; only what they read and their tasks is taken from them.

    `repeats` goes before a source's own number and may leave sources out; 0 keeps one in evaluation only.
    """

    def __init__(
        self,
        sources: Mapping[str, HasSource],
        repeats: Mapping[str, int] | None = None,
        encoder: Encoder | None = None,
        **options: Unpack[FeedOptions],
    ) -> None:
        repeats = repeats or {}
        unknown = sorted(repeats.keys() - sources.keys())
        if unknown:
            known = ", ".join(sources)
            raise ValueError(f"repeats name source '{unknown[0]}'; choose among {known} (data.repeats)")
        self.sources = {
            name: replace(module.source, name=name, repeat=repeats.get(name, module.source.repeat))
            for name, module in sources.items()
        }
        super().__init__(Feed(list(self.sources.values()), encoder, **options))
