"""Which references are held out of training: a function of their names and a seed, so that each is on one side"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def position(name: str, seed: int) -> float:
    """At least 0 and below 1, evenly spread over names."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def check_share(held_out: float) -> None:
    """ValueError where no reference would be left to train on, or the share is none."""
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out is {held_out}; give a share of at least 0 and below 1")


def is_held_out(name: str, seed: int, share: float) -> bool:
    """Whether a reference is among the `share` that is kept from training."""
    return position(name, seed) < share


def split_names(names: Iterable[str], seed: int, val: float, test: float) -> dict[str, str]:
    """Each name's split. `val` and `test` are shares of the names, rounded to whole ones: datasets have few references.

    ValueError where the shares leave 0..1.
    """
    if not (0 <= val <= 1 and 0 <= test <= 1 and val + test <= 1):
        raise ValueError(f"val is {val}, test {test}; give shares of the references that add up to 1 or less")
    ordered = sorted(set(names), key=lambda name: (position(name, seed), name))
    num_test, num_val = round(test * len(ordered)), round(val * len(ordered))
    splits = ["test"] * num_test + ["val"] * num_val
    splits += ["train"] * (len(ordered) - len(splits))
    return dict(zip(ordered, splits, strict=False))
