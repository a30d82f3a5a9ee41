"""Learned score metrics with a reference from torchmetrics and piq: LPIPS, DISTS and PieAPP; lower is better."""

from __future__ import annotations

from torch import Tensor, nn

from depictqa.baselines.metric import Measure, ScoreMetric
from depictqa.baselines.weights import Weights, read_state


def lpips(batch_size: int = 16, accelerator: str = "auto") -> ScoreMetric:
    """Zhang et al. 2018 on AlexNet, the authors' default; torchmetrics carries the linear heads."""
    from torchvision.models import AlexNet_Weights

    weights = _torchvision("LPIPS's AlexNet", AlexNet_Weights.DEFAULT.url)

    def load() -> Measure:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        read_state(weights.path)
        return _WithRange(LearnedPerceptualImagePatchSimilarity(net_type="alex").net)

    return ScoreMetric(
        "lpips", load, lower_is_better=True, min_side=31, weights=(weights,),
        batch_size=batch_size, accelerator=accelerator,
    )  # fmt: skip


def dists(batch_size: int = 16, accelerator: str = "auto") -> ScoreMetric:
    """Ding et al. 2020, on VGG16; torchmetrics carries its alpha and beta. Images are not resized."""
    from torchvision.models import VGG16_Weights

    weights = _torchvision("DISTS's VGG16", VGG16_Weights.DEFAULT.url)

    def load() -> Measure:
        from torchmetrics.functional.image.dists import DISTSNetwork

        read_state(weights.path)
        return DISTSNetwork()

    return ScoreMetric(
        "dists", load, lower_is_better=True, min_side=16, weights=(weights,),
        batch_size=batch_size, accelerator=accelerator,
    )  # fmt: skip


def pieapp(batch_size: int = 2, accelerator: str = "auto") -> ScoreMetric:
    """Prashnani et al. 2018: piq, on patches of 64 pixels, every 27 (the authors' sparse sampling). An image of 256
    pixels is 64 patches, each a few MiB on its way: hence the small batch.
    """
    from piq.pieapp import PieAPP

    weights = Weights("PieAPP", PieAPP._weights_url)

    def load() -> Measure:
        read_state(weights.path)
        return PieAPP(reduction="none", data_range=1.0)

    return ScoreMetric(
        "pieapp", load, lower_is_better=True, min_side=64, weights=(weights,),
        batch_size=batch_size, accelerator=accelerator,
    )  # fmt: skip


class _WithRange(nn.Module):
    """LPIPS takes -1..1 unless it is told of 0..1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, references: Tensor) -> Tensor:
        return self.net(images, references, normalize=True)


def _torchvision(owner: str, url: str) -> Weights:
    """Its file names end in the first digits of their SHA-256: `alexnet-owt-7be5be79.pth`."""
    return Weights(owner, url, hash_prefix=url.rsplit("-", 1)[-1].removesuffix(".pth"))
