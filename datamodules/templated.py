"""The templated source: brief answers made from existing labels, such as votes or known distortions."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from datamodules.feed import FedDataModule, Feed, FeedOptions, Source
from depictqa.encode import Encoder
from depictqa.sample import Task

TASKS = frozenset({Task.COMPARISON, Task.RATING, Task.IDENTIFICATION})


class TemplatedDataModule(FedDataModule):
    """Batches of the shards under `root`; `encoder` may be left out where a mixture makes the batches."""

    def __init__(
        self,
        root: Path | str,
        encoder: Encoder | None = None,
        repeat: int = 1,
        **options: Unpack[FeedOptions],
    ) -> None:
        self.source = Source("templated", Path(root), TASKS, repeat)
        super().__init__(Feed([self.source], encoder, **options))
