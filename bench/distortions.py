"""Distorted images per second on one photo of 512x384 px: each class, and the mean over all 35 functions.

uv run python bench/distortions.py [num_processes]
"""

from __future__ import annotations

import sys
import time
from multiprocessing import get_context

import cv2
import numpy as np

from datamodules.distortions import CLASSES, FUNCTIONS, SEVERITIES, distort
from datamodules.sources.photos import PHOTOS, load_pixels

SIZE = (512, 384)
REPEATS = 4


def seconds_of(function: str) -> float:
    """Seconds an image, averaged over the severities."""
    photo = next(photo for photo in PHOTOS if photo.name == "coffee")
    image = cv2.resize(load_pixels(photo), SIZE, interpolation=cv2.INTER_AREA)
    distort(image, function, 1, np.random.default_rng(0))
    start = time.perf_counter()
    for number in range(REPEATS):
        for severity in SEVERITIES:
            distort(image, function, severity, np.random.default_rng(number))
    return (time.perf_counter() - start) / (REPEATS * len(SEVERITIES))


def main(num_processes: int) -> None:
    cv2.setNumThreads(1)
    with get_context("spawn").Pool(num_processes, cv2.setNumThreads, (1,)) as pool:
        seconds = dict(zip(FUNCTIONS, pool.map(seconds_of, FUNCTIONS, chunksize=1), strict=True))
    for name, functions in CLASSES.items():
        print(f"{name:20s} {len(functions) / sum(seconds[function] for function in functions):7.1f} images/s a process")
    mean = len(seconds) / sum(seconds.values())
    print(f"all {len(seconds)} functions    {mean:7.1f} images/s a process, {num_processes} processes at once")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
