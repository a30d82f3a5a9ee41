"""BAPPS: triplets of a reference and two distorted patches, with the fraction of people who preferred the second.

    2afc/{train,val}/SUBSET/{ref,p0,p1}/NNNNNN.png  judge/NNNNNN.npy
    jnd/val/{traditional,cnn}/{p0,p1}/NNNNNN.png    same/NNNNNN.npy

Layout as read by public code; not tried on the original files. The published archives (`twoafc_train.tar.gz`,
`twoafc_val.tar.gz`) hold `train` and `val`; each is enough on its own (`sets`).

Of train (two votes a triplet) the unanimous triplets are taken, A and B in balanced order. All of val (five votes) is
tested on: there p0 is A and p1 is B, so that `truth.vote`, the fraction that preferred B, is the published judgement.
A triplet is one record: one sample with the reference, one without.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.held_out import check_share, is_held_out
from datamodules.parts import Part, Rejected
from datamodules.raw import need_folder, read_image
from datamodules.records import Record, RecordSample
from datamodules.writers import pools
from depictqa.image import decode_image
from depictqa.sample import Slot, Task, Truth, Turn

LICENCE = "see the dataset's page: BAPPS (Berkeley-Adobe Perceptual Patch Similarity)"
ORIGIN = "BAPPS (Berkeley-Adobe Perceptual Patch Similarity, github.com/richzhang/PerceptualSimilarity)"
SUBSETS = {
    "train": ("traditional", "cnn", "mix"),
    "val": ("traditional", "cnn", "superres", "deblur", "color", "frameinterp"),
}
NUM_VOTES = {"train": 2, "val": 5}
NUM_JND_VOTES = 3
TRIPLET = {"ref": ".png", "p0": ".png", "p1": ".png", "judge": ".npy"}  # folder -> suffix of its files
_OF = "-"  # between subset and stem in a record's key
JND_SUBSETS = ("traditional", "cnn")
JND = {"p0": ".png", "p1": ".png", "same": ".npy"}


@dataclass(frozen=True)
class Triplet:
    """A record to make, of the set `train` or `val`. `judge` is the fraction that preferred p1.

    `swapped`: A is p1. `single_word`: for the sample with the reference, and the one without.
    """

    set: str
    subset: str
    stem: str
    judge: float
    swapped: bool = False
    single_word: tuple[bool, bool] = (True, True)

    @property
    def reference(self) -> str:
        return f"BAPPS/2afc/{self.set}/{self.subset}/ref/{self.stem}.png"


@dataclass(frozen=True)
class JndPair:
    """Two patches and the fraction of people (of three) who took them for the same."""

    subset: str
    stem: str
    p0: Path
    p1: Path
    same: float


def parts(
    raw: Path,
    seed: int,
    sets: Sequence[str] = ("train", "val"),
    subsets: Sequence[str] | None = None,
    side: int | None = 64,
    held_out: float = 0.01,
) -> list[Part]:
    """Train's unanimous triplets as train and val, val's triplets as test.

    `subsets` None takes those that are published. `side` is the size in px to which patches are scaled; None keeps
    the files as they are. The share `held_out` of train's references goes to `val`. ValueError or FileNotFoundError
    for an unknown option or a folder that is not there; a triplet that lacks a file or a judgement is set apart.
    """
    check_share(held_out)
    if side is not None and side < 8:
        raise ValueError(f"side is {side}; give at least 8 px, or null to keep the files as they are")
    sets = [sets] if isinstance(sets, str) else sets  # `subsets=cnn` means that one
    subsets = [subsets] if isinstance(subsets, str) else subsets
    chosen = _choose(sets, subsets)
    need_folder(raw, "the folder that holds BAPPS' 2afc")
    bases = {name: _base(raw, name, of_set, alone=len(chosen) == 1) for name, of_set in chosen.items()}
    found: dict[tuple[str, str], list[Triplet | Rejected]] = {}
    if "train" in chosen:
        triplets, rejected = read_2afc(bases["train"], "train", chosen["train"])
        kept = unanimous(np.array([triplet.judge for triplet in triplets]))
        triplets = [triplet for triplet, keep in zip(triplets, kept, strict=True) if keep]
        held = [is_held_out(triplet.reference, seed, held_out) for triplet in triplets]
        train = [triplet for triplet, out in zip(triplets, held, strict=True) if not out]
        val = [triplet for triplet, out in zip(triplets, held, strict=True) if out]
        found["train", "train"] = [*ordered(train, np.random.default_rng([seed, 0]), training=True), *rejected]
        found["train", "val"] = [*ordered(val, np.random.default_rng([seed, 1]), training=False)]
    if "val" in chosen:
        triplets, rejected = read_2afc(bases["val"], "val", chosen["val"])
        found["val", "test"] = [*triplets, *rejected]
    return [
        Part("templated", split, items, partial(_record, bases[name], side, seed), LICENCE)
        for (name, split), items in found.items()
        if items
    ]


def unanimous(judge: np.ndarray) -> np.ndarray:
    """`[N]` judgements -> `[N]` bool: all voted for the same image."""
    return (judge == 0) | (judge == 1)


def ordered(triplets: Sequence[Triplet], rng: np.random.Generator, *, training: bool) -> list[Triplet]:
    """Unanimous triplets with A the better one of half. Half of the training questions ask for a single word; all
    others do."""
    a_is_better = pools.balanced(len(triplets), rng)
    brief = pools.balanced(2 * len(triplets), rng) if training else [True] * (2 * len(triplets))
    return [
        replace(
            triplet,
            swapped=(triplet.judge > 0.5) == a_is_better[i],
            single_word=(brief[2 * i], brief[2 * i + 1]),
        )
        for i, triplet in enumerate(triplets)
    ]


def read_2afc(base: Path, name: str, subsets: Sequence[str]) -> tuple[list[Triplet], list[Rejected]]:
    """The triplets of set `name`, whose subsets lie in `base`, with p0 as A; and those that are not whole."""
    triplets: list[Triplet] = []
    rejected: list[Rejected] = []
    for subset in subsets:
        stems, incomplete = _whole(base / subset, f"2afc/{name}/{subset}", TRIPLET)
        rejected += incomplete
        for stem in stems:
            try:
                triplets.append(Triplet(name, subset, stem, read_fraction(base / subset / "judge" / f"{stem}.npy")))
            except ValueError as error:
                rejected.append(Rejected(f"2afc/{name}/{subset} {stem}", str(error)))
    return triplets, rejected


def read_jnd(raw: Path, subsets: Sequence[str] = JND_SUBSETS) -> list[JndPair]:
    """The pairs of the just-noticeable-difference sets, in order. They ask whether two patches look the same, which
    no task of ours does: they are for scoring distances, and not made into shards. `raw` holds `jnd/val` or `val`.

    FileNotFoundError or ValueError where a folder or a pair's file is missing, or a subset is unknown.
    """
    pairs = []
    places = (raw / "jnd" / "val", raw / "val")
    base = next((place for place in places if any((place / name / "same").is_dir() for name in subsets)), places[0])
    for subset in subsets:
        if subset not in JND_SUBSETS:
            raise ValueError(f"BAPPS JND subset '{subset}' unknown; choose from {', '.join(JND_SUBSETS)}")
        folder = base / subset
        stems, incomplete = _whole(folder, f"jnd/val/{subset}", JND)
        if incomplete:
            first = incomplete[0]
            raise ValueError(f"{first.name} {first.reason} ({len(incomplete)} such)")
        for stem in stems:
            p0, p1, same = (folder / member / f"{stem}{suffix}" for member, suffix in JND.items())
            pairs.append(JndPair(subset, stem, p0, p1, read_fraction(same)))
    return pairs


def read_fraction(path: Path) -> float:
    """The one number 0..1 of a .npy file, to 4 digits (it was written as float32). ValueError where it holds another
    thing; pickles are not opened."""
    try:
        value = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise ValueError(f"'{path}' cannot be read ({' '.join(str(error).split())}); get it again") from None
    if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.kind not in "fiu":
        raise ValueError(f"'{path}' holds no single number; get it again")
    fraction = round(float(value.item()), 4)
    if not 0 <= fraction <= 1:
        raise ValueError(f"'{path}' holds {fraction}, no fraction 0..1; get it again")
    return fraction


def _choose(sets: Sequence[str], subsets: Sequence[str] | None) -> dict[str, list[str]]:
    """Set -> its subsets, in published order. ValueError for an unknown name, or where nothing is chosen."""
    known = {name for of_set in SUBSETS.values() for name in of_set}
    for option, names, choices in (("set", sets, set(SUBSETS)), ("subset", subsets or (), known)):
        for name in names:
            if name not in choices:
                raise ValueError(f"BAPPS {option} '{name}' unknown; choose from {', '.join(sorted(choices))}")
    chosen = {
        name: [subset for subset in of_set if subsets is None or subset in subsets]
        for name, of_set in SUBSETS.items()
        if name in sets
    }
    chosen = {name: of_set for name, of_set in chosen.items() if of_set}
    if not chosen:
        raise ValueError("no BAPPS subset is chosen; leave sets and subsets as they are to take all")
    return chosen


def _base(raw: Path, name: str, subsets: Sequence[str], *, alone: bool) -> Path:
    """The folder that holds the subsets of set `name`; `raw` itself where no other set is asked for."""
    places = (raw / "2afc" / name, raw / name, *([raw] if alone else []))
    return next((place for place in places if any((place / subset).is_dir() for subset in subsets)), places[0])


def _whole(folder: Path, name: str, members: Mapping[str, str]) -> tuple[list[str], list[Rejected]]:
    """The stems that have a file in every member folder, sorted; the others, with what they lack."""
    found: dict[str, set[str]] = {}
    for member, suffix in members.items():
        place = folder / member
        if not place.is_dir():
            raise FileNotFoundError(
                f"'{place}' is missing; get it from {ORIGIN} and unpack it there (raw, source.sets)"
            )
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
        found[member] = {name.removesuffix(suffix) for name in names if name.endswith(suffix)}
    rejected = []
    complete = set.intersection(*found.values())
    for stem in sorted(set.union(*found.values()) - complete):
        lacking = [f"{member}/{stem}{members[member]}" for member, stems in found.items() if stem not in stems]
        rejected.append(Rejected(f"{name} {stem}", f"lacks {', '.join(lacking)}; get it again"))
    return sorted(complete), rejected


def _record(base: Path, side: int | None, seed: int, number: int, triplet: Triplet) -> Record:
    rng = np.random.default_rng([seed, number])
    first, second = ("p1", "p0") if triplet.swapped else ("p0", "p1")
    members = {Slot.REFERENCE: "ref", Slot.A: first, Slot.B: second}
    images = {slot: _patch(base, f"{triplet.subset}/{m}/{triplet.stem}.png", side) for slot, m in members.items()}
    vote = round(1 - triplet.judge, 4) if triplet.swapped else triplet.judge
    better = None if vote == 0.5 else Slot.B if vote > 0.5 else Slot.A
    truth = Truth(better=better, vote=vote, num_votes=NUM_VOTES[triplet.set])
    samples = tuple(
        RecordSample(Task.COMPARISON, slots, (_turn(better, rng, brief),), truth)
        for slots, brief in zip(((Slot.REFERENCE, Slot.A, Slot.B), (Slot.A, Slot.B)), triplet.single_word, strict=True)
    )
    return Record(f"{triplet.subset}{_OF}{triplet.stem}", images, samples, triplet.reference)


def subset_of(key: str) -> str:
    """The subset of a sample of our shards, by its key `SOURCE/SUBSET-STEM/N`. ValueError for another key."""
    subset, found, _ = key.split("/")[1].partition(_OF) if key.count("/") == 2 else ("", "", "")
    if not found or subset not in {name for of_set in SUBSETS.values() for name in of_set}:
        raise ValueError(f"'{key}' is no sample of BAPPS; give shards that program=build source=bapps made")
    return subset


def _turn(better: Slot | None, rng: np.random.Generator, single_word: bool) -> Turn:
    """A tie has a question and no right answer."""
    if better is None:
        return replace(pools.comparison(Slot.A, rng, single_word=single_word), answer="")
    return pools.comparison(better, rng, single_word=single_word)


def read_patch(path: Path, side: int | None) -> Image.Image:
    """A square patch scaled to `side` px, None as it is filed. ValueError where it cannot be read."""
    patch = _patch(path.parent, path.name, side)
    return decode_image(patch, str(path)) if isinstance(patch, bytes) else patch


def _patch(base: Path, name: str, side: int | None) -> Image.Image | bytes:
    data = read_image(base, name)
    if side is None:
        return data
    image = decode_image(data, str(base / name))
    if image.width != image.height:
        raise ValueError(f"image '{base / name}' has {image.width}x{image.height} px; BAPPS has squares; get it again")
    return image if image.width == side else image.resize((side, side), Image.Resampling.BICUBIC)
