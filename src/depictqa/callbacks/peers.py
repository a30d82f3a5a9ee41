"""All processes of a run end when one of them has, with its cause on the console."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable

import lightning as L
from lightning.pytorch.callbacks import Callback

from depictqa.lifeline import Fault, Hub, Member

GRACE = 10.0  # seconds in which a process may end in its own way after another has said that it does
NEWS = 3.0  # seconds in which the cause of an error between processes is heard of, if it is that one of them is gone


class Peers(Callback):
    """Where a process of a run of several is gone, or ends alone with an error, the others say why and end too: with
    exit code 1, or with its own where it was asked to stop. `hint` tells then what the user may do. Stands before
    other callbacks, which may be waiting for a process that is gone."""

    def __init__(self, hint: Callable[[], str] = str) -> None:
        self.hint = hint
        self._end: Hub | Member | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit" or trainer.world_size == 1 or self._end is not None:
            return
        self._rank = trainer.global_rank
        hub = Hub(self._gone, os.environ.get("MASTER_ADDR", "127.0.0.1")) if self._rank == 0 else None
        address = trainer.strategy.broadcast(hub.address if hub else None)
        self._end = hub or Member(self._rank, address, self._gone)  # type: ignore[arg-type]

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._end is not None:
            self._end.leave(0, "")
            self._end = None

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if self._end is None:
            return
        if isinstance(exception, RuntimeError):  # of a connection between processes, say: the cause is elsewhere
            time.sleep(NEWS)
        code = exception.code if isinstance(exception, SystemExit) else 1
        why = f"rank {self._rank} ended: {(str(exception).splitlines() or [''])[0] or type(exception).__name__}"
        self._end.leave(int(code or 0), why)
        if isinstance(self._end, Member):
            # Lightning kills the first process as soon as one that it started has ended with a code; let it end first.
            atexit.register(self._end.wait, 2 * GRACE)

    def _gone(self, fault: Fault) -> None:
        threading.Thread(target=self._stop, args=(fault,), daemon=True).start()

    def _stop(self, fault: Fault) -> None:
        if fault.said:
            time.sleep(GRACE)
        if self._rank == 0 or fault.rank == 0:
            print(f"error: {fault.why}; all others end too{self.hint()}", file=sys.stderr, flush=True)
        os._exit(fault.code)
