"""Figures of merit; each module is one family and is imported by its own name; the one
that is a torchmetrics Metric stands here too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depictqa.metrics.two_afc import TwoAFC

__all__ = ["TwoAFC"]


def __getattr__(name: str) -> Any:
    """At first use: torchmetrics takes several times as long to import as torch, and few commands need it."""
    if name != "TwoAFC":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from depictqa.metrics.two_afc import TwoAFC

    return TwoAFC
