"""`program=agreement`: how far several annotators of the same items agree, per field, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from datamodules.agreement import Agreement


def run(cfg: DictConfig) -> dict[str, float]:
    """`kappa/FIELD` (none where it is undefined), `agreement/FIELD` and `num_cases/FIELD` of the lines in `raw`."""
    if cfg.raw is None:
        raise ValueError("say which annotations: raw=annotations.jsonl")
    from datamodules.agreement import agreement
    from datamodules.annotations import read_annotations

    annotators, found = agreement(read_annotations(cfg.raw))
    show(annotators, found)
    metrics: dict[str, float] = {}
    for one in found:
        name = one.field.replace("better in ", "better/")
        metrics |= {f"agreement/{name}": one.share, f"num_cases/{name}": float(one.num_cases)}
        if one.kappa is not None:
            metrics[f"kappa/{name}"] = one.kappa
    return metrics


def show(annotators: Sequence[str], found: Sequence[Agreement]) -> None:
    from rich.console import Console
    from rich.table import Table

    kind = "Cohen's" if len(annotators) == 2 else "Fleiss'"
    table = Table(title=f"agreement of {', '.join(annotators)}")
    for name in ("field", "cases", "same answer", f"{kind} kappa"):
        table.add_column(name, justify="left" if name == "field" else "right")
    for one in found:
        kappa = "-" if one.kappa is None else f"{one.kappa:.3f}"
        table.add_row(one.field.replace("_", " "), f"{one.num_cases:,}", f"{one.share:.3f}", kappa)
    Console().print(table)
