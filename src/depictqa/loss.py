"""The training loss: the mean over samples of each sample's mean over its answer tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Prediction:
    """What the model says at the S supervised tokens of a batch, in stream order."""

    logits: torch.Tensor  # [S, V]
    targets: torch.Tensor  # [S] token ids
    weights: torch.Tensor  # [S] of each token in the loss
    samples: torch.Tensor  # [S] number of the token's sample in the batch
    num_samples: int


def token_losses(prediction: Prediction) -> torch.Tensor:
    """[S] cross-entropy of each supervised token, in float32."""
    return F.cross_entropy(prediction.logits.float(), prediction.targets, reduction="none")


def batch_loss(prediction: Prediction) -> torch.Tensor:
    """Scalar: the weighted sum that `collate` set up, so that batches of any cut add up to the mean over samples."""
    return (token_losses(prediction) * prediction.weights).sum()


def sample_losses(prediction: Prediction) -> torch.Tensor:
    """[num_samples] mean over each sample's supervised tokens; NaN for a sample without any."""
    losses = token_losses(prediction).detach()
    sums = losses.new_zeros(prediction.num_samples).index_add_(0, prediction.samples, losses)
    counts = losses.new_zeros(prediction.num_samples).index_add_(0, prediction.samples, torch.ones_like(losses))
    return sums / counts
