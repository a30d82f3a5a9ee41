"""The external source: content descriptions, which keep the model's general language."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from datamodules.feed import FedDataModule, Feed, FeedOptions, Source
from depictqa.encode import Encoder
from depictqa.sample import Task

TASKS = frozenset({Task.CONTENT})


class ExternalDataModule(FedDataModule):
    """Batches of the shards under `root`; an epoch repeats them, in the paper twice."""

    def __init__(
        self,
        root: Path | str,
        encoder: Encoder | None = None,
        repeat: int = 2,
        **options: Unpack[FeedOptions],
    ) -> None:
        self.source = Source("external", Path(root), TASKS, repeat)
        super().__init__(Feed([self.source], encoder, **options))
