"""Kinds of GPUs: memory and peak rate as their vendor states them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """`memory` in GB (1e9 bytes) as in its name; `peak` in TFLOP/s, dense bfloat16 with sums in float32."""

    memory: float
    peak: float
    source: str


GPUS = {
    "rtx4090": Gpu(24, 165.2, "NVIDIA Ada GPU architecture whitepaper, appendix A"),
    "a100-40gb": Gpu(40, 312, "NVIDIA A100 datasheet"),
    "l40s": Gpu(48, 362.05, "NVIDIA L40S datasheet"),
    "a100-80gb": Gpu(80, 312, "NVIDIA A100 datasheet"),
    "h100": Gpu(80, 989.4, "NVIDIA H100 datasheet (SXM), half of the rate with sparsity"),
    "h200": Gpu(141, 989.4, "NVIDIA H200 datasheet (SXM), half of the rate with sparsity"),
}
