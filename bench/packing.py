"""How full packs are on the paper's length distribution, counted: `python bench/packing.py [--json]`.

Beside first-fit decreasing, the usual way: as full, but with packs that differ in how many samples they hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "src")]

from datamodules.packing import PACKINGS, WINDOW, even_packs, windows  # noqa: E402
from datamodules.paper_epoch import paper_draws  # noqa: E402
from datamodules.plan import Plan  # noqa: E402
from datamodules.window_plan import WindowPlan  # noqa: E402


def paper_lengths(num: int, seed: int = 0, crop: bool = True) -> np.ndarray:
    """[num] stream tokens of draws of the paper's epoch (724k), in its order."""
    return paper_draws(num, seed, crop).tokens


def first_fit(lengths: np.ndarray, pack_length: int) -> list[np.ndarray]:
    """First-fit decreasing."""
    room = np.full(len(lengths), pack_length)
    packs: list[list[int]] = []
    for index in np.argsort(-lengths, kind="stable"):
        fits = room[: len(packs)] >= lengths[index]
        pack = int(fits.argmax()) if fits.any() else len(packs)
        if pack == len(packs):
            packs.append([])
        packs[pack].append(int(index))
        room[pack] -= lengths[index]
    return [np.array(pack) for pack in packs]


def count(
    pack_function: Callable[[np.ndarray, int], list[np.ndarray]], lengths: np.ndarray, pack_length: int
) -> dict[str, float]:
    """Share of tokens that are no padding; mean and standard deviation of a pack's number of samples."""
    packs = [pack for part in windows(len(lengths), WINDOW) for pack in pack_function(lengths[part], pack_length)]
    sizes = np.array([len(pack) for pack in packs])
    full = float(lengths.sum()) / (len(packs) * pack_length)
    return {"full": full, "samples": float(sizes.mean()), "samples_sd": float(sizes.std())}


def used(lengths: np.ndarray, packing: str, world_size: int, num_steps: int = 50) -> dict[str, float]:
    """Of steps of 16 samples a GPU as `data.packing` plans them: the share of GPUs' time that goes to tokens, neither
    to padding nor to waiting for a GPU with more of them; the mean and standard deviation of a step's samples."""
    recipe = ([len(lengths)], [1], lengths, 16 * world_size, 8192, 0, 1, world_size)
    plan = WindowPlan(*recipe) if packing == "window" else Plan(*recipe, packed=packing == "step")
    tokens = slots = 0
    for number in range(num_steps * plan.accumulate):
        ranks = [lengths[[draw.sample for draw in plan.micro_batch(0, number, rank)]] for rank in range(world_size)]
        tokens += int(sum(rank.sum() for rank in ranks))
        rows = [len(rank) * int(rank.max(initial=0)) if packing == "none" else int(rank.sum()) for rank in ranks]
        slots += world_size * (plan.pack_length or max(rows))
    sizes = [len(plan.draws(0, step)) for step in range(num_steps)]
    about = {"tokens": tokens / (num_steps * world_size), "micro_batches": plan.accumulate}
    return about | {"used": tokens / slots, "samples": float(np.mean(sizes)), "samples_sd": float(np.std(sizes))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--draws", type=int, default=20_000)
    options = parser.parse_args()
    ways = {"even": even_packs, "first-fit decreasing": first_fit}
    rows = []
    for crop in (False, True):
        lengths = paper_lengths(options.draws, crop=crop)
        for pack_length in (4096, 6144, 8192, 16384):
            for name, way in ways.items():
                about = {"crop": crop, "mean_tokens": float(lengths.mean()), "pack_length": pack_length, "way": name}
                rows.append({**about, **count(way, lengths, pack_length)})
    plans = [
        {"packing": packing, "gpus": world_size, **used(paper_lengths(options.draws), packing, world_size)}
        for packing in PACKINGS
        for world_size in (1, 8)
    ]
    if options.json:
        print(json.dumps({"window": WINDOW, "draws": options.draws, "packing": rows, "plans": plans}))
        return
    print(f"{'crop':6}{'mean':>6}{'pack':>7}  {'way':22}{'full':>7}{'samples':>9}{'sd':>6}")
    for row in rows:
        print(
            f"{'yes' if row['crop'] else 'no':6}{row['mean_tokens']:6.0f}{row['pack_length']:7}  {row['way']:22}"
            f"{row['full']:7.4f}{row['samples']:9.2f}{row['samples_sd']:6.2f}"
        )
    print(f"\n{'data.packing':14}{'GPUs':>5}{'micro-batches':>15}{'tokens':>8}{'used':>8}{'samples':>9}{'sd':>6}")
    for plan in plans:
        print(
            f"{plan['packing']:14}{plan['gpus']:5}{plan['micro_batches']:15}{plan['tokens']:8.0f}{plan['used']:8.4f}"
            f"{plan['samples']:9.2f}{plan['samples_sd']:6.2f}"
        )


if __name__ == "__main__":
    main()
