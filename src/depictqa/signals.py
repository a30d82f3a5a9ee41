"""Signals that ask a process to end so that it can go on another time: SIGTERM, and SIGUSR1, SLURM's usual warning."""

from __future__ import annotations

import os
import signal
import threading

STOP = (signal.SIGTERM, signal.SIGUSR1)
INTERRUPTED = 128 + signal.SIGINT
REQUEUE = 128 + signal.SIGTERM
"""Exit code of a run that such a signal has ended: the same command goes on with it, with `resume=` where it has a
checkpoint, and where it has none as it was."""


def leave_to_parent(worker: int = 0) -> None:
    """For a worker process: only its parent ends it, whoever else sends signals to all of a job's processes.

    SLURM does so, with its warning and with SIGTERM, and a terminal with Ctrl-C. A loader whose worker is gone raises,
    and a step would be lost that the parent was about to finish.
    """
    for which in (signal.SIGUSR1, signal.SIGINT):
        signal.signal(which, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parents_signal, daemon=True).start()


def _end_with_parents_signal() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
