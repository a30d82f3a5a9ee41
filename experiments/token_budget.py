"""`data.token_budget=auto`, and what to set where a run is out of memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from depictqa.whole_file import write_whole

AUTO = "auto"
WAIT = 3600.0  # seconds that other processes give the first one to find it


def settle(cfg: DictConfig, folder: Path, trainer: Any, model: Any, data: Any) -> None:
    """A number in place of "auto": in `cfg`, in `data` and in the run's config.yaml, which other processes and a
    resumed run take it from. ValueError where nothing fits, or where one device cannot tell."""
    from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy) or not hasattr(data, "feed"):
        raise ValueError(
            "data.token_budget=auto tries steps on one device that holds the whole model, and samples that are on "
            "disk; give a number with this trainer.strategy, or with data that are streamed"
        )
    if trainer.is_global_zero:
        cfg.data.token_budget = found(trainer, model, data)
        write_whole(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    else:
        cfg.data.token_budget = _told(folder / "config.yaml")
    data.feed.token_budget = cfg.data.token_budget


def found(trainer: Any, model: Any, data: Any) -> int:
    import torch

    from datamodules.worst_case import WorstCase
    from depictqa.token_budget import Trial, largest, safe

    start, device, before = time.perf_counter(), trainer.strategy.root_device, model.device
    data.feed.world_size = trainer.world_size
    worst = WorstCase(data.feed)
    trial = Trial(model, device, trainer.world_size > 1, trainer.precision_plugin.forward_context)
    most = largest(lambda tokens: trial.fits(worst.batches(tokens)), worst.longest, worst.most)
    model.to(before)
    if model.language.compiled:
        torch.compiler.reset()  # graphs for lengths that the run does not have
    if most is None:
        raise ValueError(
            f"not even the longest sample, of {worst.longest} tokens, fits in the memory of {device}; set "
            "trainer.recompute=1, or take a smaller model"
        )
    budget = safe(most, worst.longest, worst.most)
    what = "a whole step fits" if most >= worst.most else f"{most} tokens fit"
    print(f"data.token_budget={budget} ({what} on {device}; {time.perf_counter() - start:.0f} s)", flush=True)
    return budget


def _told(path: Path) -> int:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        budget = OmegaConf.select(OmegaConf.load(path), "data.token_budget") if path.is_file() else None
        if isinstance(budget, int):
            return budget
        time.sleep(0.5)
    raise ValueError(f"the first process has written no data.token_budget into {path}; give a number")


def explain(error: BaseException, sizes: Any, budget: int) -> None:
    """ValueError with what to set, where `error` is that memory was not enough. `sizes`: a `BatchSizes`."""
    from depictqa.token_budget import STEP, is_out_of_memory

    if not is_out_of_memory(error):
        return
    if sizes.tokens is None:
        raise ValueError(
            "out of memory before the first batch; take a smaller model, or a device with more memory"
        ) from error
    smaller = sizes.fitted if sizes.fitted < sizes.tokens else int(0.75 * sizes.tokens)
    fitted = f"; the largest that fitted had {sizes.fitted}" if sizes.fitted else ""
    raise ValueError(
        f"out of memory at step {sizes.step} with a micro-batch of {sizes.tokens} tokens{fitted} (data.token_budget is "
        f"{budget}). Set data.token_budget={max(STEP, smaller // STEP * STEP)}, or auto to have it found, or "
        "trainer.recompute=1"
    ) from error
