"""Several devices: one process each, started by torch's elastic agent (torchrun's) and not by Lightning, whose children
would run this command line again, in a sweep the whole sweep's and in other folders.

Nothing is started where someone else has started the processes: torchrun, or SLURM with several tasks.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import OmegaConf

from experiments.command import again

AGENT = "DEPICTQA_AGENT"
"""The variable that tells a process which one has started it."""
GRACE = 60
"""Seconds that the other processes have to end where one has failed, or to write a checkpoint on SIGTERM."""


def num_to_start(options: Any) -> int:
    """How many processes `trainer` asks for, or 1 where they have been started already.

    ValueError where it asks for several nodes, which nobody here reaches, or for a strategy that cannot be.
    """
    if "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        return 1
    if options.num_nodes > 1:
        raise ValueError(
            f"trainer.num_nodes is {options.num_nodes}: start the run on every node by torchrun or SLURM "
            "(docs/cluster.md), or leave it out"
        )
    open_strategy(options.strategy)
    if options.devices in (1, "1"):
        return 1
    import lightning as L
    from lightning.fabric.plugins.environments import LightningEnvironment
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    chosen = {name: options[name] for name in ("accelerator", "devices")}
    none = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    alone = LightningEnvironment()  # SLURM's would want as many tasks as devices
    try:
        return L.Trainer(**chosen, **none, plugins=[alone]).num_devices  # type: ignore[arg-type]
    except (MisconfigurationException, TypeError) as error:  # TypeError: numbers of devices for the CPU
        raise ValueError(
            f"trainer.accelerator={options.accelerator} with trainer.devices={options.devices} is not to be had here "
            f"({str(error).rstrip('!.')}); take trainer=cpu or trainer=auto, or other devices"
        ) from error


def is_further_process() -> bool:
    """Of several that train together: those after the first write no files and evaluate nothing."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return int(next((rank for rank in ranks if rank is not None), 0)) > 0


def open_strategy(choice: Any) -> Any:
    """One of Lightning's by its name, or the class and arguments of a `_target_`."""
    return instantiate(choice, _convert_="all") if OmegaConf.is_dict(choice) else choice


def end_with_agent() -> None:
    """For a process that `start_ranks` started: where the one that did is killed, SIGTERM comes from here, and it saves
    and ends. Nobody else would ever end it."""
    agent = os.environ.get(AGENT)
    if agent is None or "LOCAL_RANK" not in os.environ:
        return

    def watch() -> None:
        while os.getppid() == int(agent):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="agent").start()


def start_ranks(num: int) -> None:
    """This run's own command in `num` processes, in its own folder. Returns when all have ended well.

    Where one ends otherwise the others are stopped: SystemExit with its exit code, or ChildProcessError where a signal
    ended it. SIGTERM and Ctrl-C are passed on, and the processes are waited for.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(GRACE))
    os.environ[AGENT] = str(os.getpid())
    quiet_agent()
    program, *words = again(Path(HydraConfig.get().runtime.output_dir))
    here = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": uuid.uuid4().hex, "max_restarts": 0}
    sys.stdout.flush()
    try:
        elastic_launch(LaunchConfig(1, 1, num, **here), program)(*words)  # type: ignore[arg-type]
    except SignalException as stop:
        raise SystemExit(128 + stop.sigval) from None
    except ChildFailedError as error:
        failed, failure = first_failure(error.failures)
        if failure.exitcode > 0:
            raise SystemExit(failure.exitcode) from None
        name = signal.Signals(-failure.exitcode).name
        raise ChildProcessError(f"process {failed} of {num} was ended by {name}, and the others with it") from None


def quiet_agent() -> None:
    """We say what happened in a line. Several of the agent's loggers have a level of their own."""
    import torch.distributed.elastic.agent.server.local_elastic_agent  # noqa: F401  (makes them)

    above = "torch.distributed.elastic"
    for name in [above, *(name for name in logging.root.manager.loggerDict if name.startswith(f"{above}."))]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def first_failure(failures: dict[int, Any]) -> tuple[int, Any]:
    """The rank that failed first, and how, by torch's whole seconds. Within one: a rank that a signal ended, then one
    that ended with a code, as ranks do where another is gone, then one by SIGTERM, which the agent sends others."""

    def order(rank: int) -> tuple[int, int]:
        code = failures[rank].exitcode
        return failures[rank].timestamp, 2 if code == -signal.SIGTERM else int(code > 0)

    rank = min(failures, key=order)
    return rank, failures[rank]
