"""The detailed source: texts that weigh distortions and texture damage, written from a questionnaire."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from datamodules.feed import FedDataModule, Feed, FeedOptions, Source
from depictqa.encode import Encoder
from depictqa.sample import Task

TASKS = frozenset({Task.DESCRIPTION, Task.REASONING, Task.ASSESSMENT})


class DetailedDataModule(FedDataModule):
    """Batches of the shards under `root`; few and good, so an epoch repeats them, in the paper 20 times."""

    def __init__(
        self,
        root: Path | str,
        encoder: Encoder | None = None,
        repeat: int = 20,
        **options: Unpack[FeedOptions],
    ) -> None:
        self.source = Source("detailed", Path(root), TASKS, repeat)
        super().__init__(Feed([self.source], encoder, **options))
