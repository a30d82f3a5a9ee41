"""Frozen weights in float8 for the time of a training, where that changes little: the check, and what it says."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf


def hold_in_float8(cfg: DictConfig, model: Any, trainer: Any, data: Any) -> dict[str, float]:
    """`trainer.float8`: measures on training samples what float8 changes, and leaves the model with it.

    ValueError where that is more than the configuration allows. The model goes to the trainer's device first.
    """
    from depictqa.batch import collate
    from depictqa.models.float8 import deviation, use_float8
    from experiments.examples import spread

    options = cfg.trainer.float8
    model.to(trainer.strategy.root_device)
    samples = spread(data.samples("train"), options.samples)
    batches = [
        collate([model.encoder.encode(sample) for sample in samples[start : start + 4]])
        for start in range(0, len(samples), 4)
    ]
    found = deviation(model, lambda: use_float8(model.language), batches, trainer.precision_plugin.forward_context)
    if trainer.is_global_zero:
        print(
            f"float8: on {len(samples)} training samples the loss changes by {found.loss:.2%}, and gradients have a "
            f"cosine of {found.cosine:.4f}",
            flush=True,
        )
    wrong = None
    if not found.loss <= options.max_loss_change:
        wrong = f"changes the loss by {found.loss:.2%} (trainer.float8.max_loss_change={options.max_loss_change})"
    elif not found.cosine >= options.min_cosine:
        wrong = f"leaves gradients a cosine of {found.cosine:.4f} (trainer.float8.min_cosine={options.min_cosine})"
    if wrong is not None:
        raise ValueError(f"float8 {wrong}; set trainer.float8.enabled=false, or allow more")
    return {"float8/loss_change": found.loss, "float8/cosine": found.cosine}


def check(cfg: DictConfig) -> None:
    """ValueError for what cannot be, before anything is opened."""
    options, language = cfg.trainer.float8, cfg.model.language
    if not options.enabled:
        return
    if options.samples < 1:
        raise ValueError(f"trainer.float8.samples is {options.samples}; give at least 1")
    if OmegaConf.is_dict(cfg.trainer.strategy):
        raise ValueError(
            "trainer.float8 goes with trainer=gpu and ddp; fsdp2 and deepspeed split or cast the weights that it holds"
        )
    if language.tuning == "full" or language.path is None:
        raise ValueError(
            "trainer.float8 is for frozen weights of a language model that is read; set model.language.tuning=lora and "
            "model.language.path, or trainer.float8.enabled=false"
        )
