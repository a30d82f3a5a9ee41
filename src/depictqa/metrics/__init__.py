"""Figures of merit; each module is one family and is imported by its own name; the one
that is a torchmetrics Metric stands here too."""

from depictqa.metrics.two_afc import TwoAFC

__all__ = ["TwoAFC"]
