"""Score metrics without weights: PSNR, SSIM, VIF and FSIM, each with a reference; higher is better."""

from __future__ import annotations

from torch import Tensor, nn

from depictqa.baselines.metric import Measure, ScoreMetric

IDENTICAL_PSNR = 200.0
"""dB, in place of infinity for an image equal to its reference: above any other pair of 8-bit images, and a
number that JSON has.
"""


def psnr(batch_size: int = 16, accelerator: str = "auto") -> ScoreMetric:
    """Over all pixels and channels of each image, in dB: torchmetrics."""
    return ScoreMetric("psnr", lambda: _psnr, batch_size=batch_size, accelerator=accelerator)


def ssim(batch_size: int = 16, accelerator: str = "auto") -> ScoreMetric:
    """Gaussian window of 11 pixels, sigma 1.5, mean over channels: torchmetrics' default, as in Wang et al.
    2004.
    """
    return ScoreMetric("ssim", lambda: _ssim, min_side=11, batch_size=batch_size, accelerator=accelerator)


def vif(batch_size: int = 16, accelerator: str = "auto") -> ScoreMetric:
    """Sheikh and Bovik 2006, in the pixel domain, on luminance: piq, which scales the data range to 0..255 as the
    authors' noise variance of 2 asks (torchmetrics' takes the numbers as they are). Not symmetric.

    Its four scales need 41 pixels; a smaller image, down to 32, is continued by its mirror image to 41, as the
    embedded data's crops of 40 have to be.
    """
    return ScoreMetric("vif", _load_vif, min_side=32, batch_size=batch_size, accelerator=accelerator)


def fsim(batch_size: int = 16, accelerator: str = "auto") -> ScoreMetric:
    """Zhang et al. 2011 with colour (FSIMc): piq's default."""
    return ScoreMetric("fsim", _load_fsim, min_side=8, batch_size=batch_size, accelerator=accelerator)


def _psnr(images: Tensor, references: Tensor) -> Tensor:
    from torchmetrics.functional.image import peak_signal_noise_ratio

    values = peak_signal_noise_ratio(images, references, data_range=1.0, reduction="none", dim=(1, 2, 3))
    return values.clamp(max=IDENTICAL_PSNR)


def _ssim(images: Tensor, references: Tensor) -> Tensor:
    from torchmetrics.functional.image import structural_similarity_index_measure

    values = structural_similarity_index_measure(images, references, data_range=1.0, reduction="none")
    assert isinstance(values, Tensor)
    return values


def _load_vif() -> Measure:
    import piq

    def measure(*batches: Tensor) -> Tensor:
        return piq.vif_p(*map(_continued, batches), data_range=1.0, reduction="none")

    return measure


def _continued(images: Tensor, side: int = 41) -> Tensor:
    """[N, 3, H, W] -> at least `side` high and wide, mirrored at the right and the lower edge."""
    height, width = images.shape[-2:]
    short = (0, max(0, side - width), 0, max(0, side - height))
    return nn.functional.pad(images, short, mode="reflect") if any(short) else images


def _load_fsim() -> Measure:
    import piq

    return lambda images, references: piq.fsim(images, references, data_range=1.0, reduction="none")
