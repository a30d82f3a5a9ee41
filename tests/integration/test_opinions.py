"""`evaluation=votes`, `levels` and `bapps_jnd` as a person calls them: a small random model on small raw datasets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image
from scipy.stats import spearmanr

import experiments.evaluate
import experiments.schemas  # noqa: F401
from depictqa.evaluation.answerer import ModelAnswerer
from depictqa.evaluation.evaluate import score_folder
from depictqa.evaluation.result import read_results
from depictqa.evaluation.score import flat_metrics
from depictqa.report.report import tables
from depictqa.report.runs import read_runs
from depictqa.testing import random_image, tiny_model
from experiments.answerers import open_others

ROOT = Path(__file__).resolve().parents[2]


def noisy(path: Path, seed: int, sigma: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(random_image((48, 48), seed), dtype=float)
    noise = np.random.default_rng(int(sigma)).normal(0, sigma, pixels.shape)
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(path)


def write_kadid(raw: Path, num: int = 10) -> None:
    """More noise is worse; of ten references two are test ones."""
    lines = ["dist_img,ref_img,dmos,var"]
    for reference in range(num):
        noisy(raw / "images" / f"I{reference:02d}.png", reference, 0)
        for level in range(1, 5):
            name = f"I{reference:02d}_11_{level:02d}.png"
            noisy(raw / "images" / name, reference, 8.0 * level)
            lines.append(f"{name},I{reference:02d}.png,{5 - level + reference / 20},0.5")
    (raw / "dmos.csv").write_text("\n".join(lines))


def write_koniq(raw: Path, num: int = 20) -> None:
    lines = ["image_name,MOS"]
    for number in range(num):
        noisy(raw / "1024x768" / f"{number}.jpg", number, 3.0 * number)
        lines.append(f"{number}.jpg,{4 - number / 10}")
    (raw / "koniq10k_scores_and_distributions.csv").write_text("\n".join(lines))


def write_jnd(raw: Path) -> None:
    for subset in ("traditional", "cnn"):
        for number in range(4):
            folder = raw / "jnd" / "val" / subset
            noisy(folder / "p0" / f"{number}.png", number, 0)
            noisy(folder / "p1" / f"{number}.png", number, 20.0 * number)
            (folder / "same").mkdir(exist_ok=True)
            np.save(folder / "same" / f"{number}.npy", np.array([1 - number / 3], dtype=np.float32))


def composed(*words: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("run", ["program=evaluate", "trainer=cpu", *words])


def evaluated(tokenizer: Path, folder: Path, *words: str) -> dict[str, float]:
    cfg = composed(*words)
    answerers = [ModelAnswerer(tiny_model(tokenizer)), *open_others(cfg)]
    return experiments.evaluate.evaluate(answerers, cfg, folder)


def report(folder: Path) -> dict:
    return {table.name: table for table in tables(read_runs([folder]))}


def test_votes_of_the_model_and_of_metrics(tokenizer_folder, tmp_path, capsys):
    write_kadid(tmp_path / "raw")
    words = ("evaluation=votes", "source=kadid", f"raw={tmp_path}/raw", "baseline=[psnr,ssim]", "source.val=0")
    metrics = evaluated(tokenizer_folder, tmp_path / "run", *words)
    start = "test/votes_kadid"
    assert metrics[f"{start}/full_reference/num_votes"] == metrics[f"{start}/no_reference/num_votes"] == 2 * 6
    assert metrics[f"{start}/psnr/full_reference/wins/per_reference/srcc"] == pytest.approx(1)
    assert metrics[f"{start}/psnr/full_reference/scores/per_reference/n"] == 2
    assert not any("psnr/no_reference" in name or "psnr/full_reference/confidences" in name for name in metrics)
    for kind in ("wins", "confidences", "bradley_terry_wins", "bradley_terry_confidences"):
        for where in ("full_reference", "no_reference"):
            assert -1 <= metrics[f"{start}/{where}/{kind}/per_reference/srcc"] <= 1

    results = read_results(tmp_path / "run" / "results" / "votes_kadid.jsonl")
    assert len(results) == 24 and len({result.key for result in results}) == 24
    some = [result for result in results if result.full_reference]
    shares = {(r.truth["names"]["a"], r.truth["names"]["b"]): r.scores["a"] for r in some}
    mos = {r.truth["names"][slot]: r.truth["mos"][slot] for r in some for slot in "ab"}
    means = {n: np.mean([p if n == a else 1 - p for (a, b), p in shares.items() if n in (a, b)]) for n in mos}
    plain = spearmanr(list(means.values()), list(mos.values()))[0]
    assert metrics[f"{start}/full_reference/confidences/srcc"] == pytest.approx(plain)
    assert flat_metrics(score_folder(tmp_path / "run")) == metrics
    json.dumps(metrics, allow_nan=False)

    table = report(tmp_path / "run")["correlations"]
    rows = {(row.head[0], row.head[2], row.head[3]): row for row in table.rows}
    assert {("PSNR", "wins", "with"), ("DepictQA", "Bradley-Terry, confidences", "without")} <= rows.keys()
    cells = dict(zip((c.full_name for c in table.columns), rows["DepictQA", "confidences", "with"].cells, strict=True))
    cell = cells["whole set: SRCC"]
    assert cell.value == metrics[f"{start}/full_reference/confidences/srcc"] and cell.low <= cell.value <= cell.high
    assert cells["per reference: SRCC"].n == 2 and cell.n == 8
    shown = capsys.readouterr().out
    assert "not comparable with SRCC over the whole set" in " ".join(shown.split())
    assert "Bradley-Terry" in shown and "confidences" in shown


def test_the_same_evaluation_twice_leaves_the_same_files(tokenizer_folder, tmp_path):
    write_kadid(tmp_path / "raw")
    words = ("evaluation=votes", "source=kadid", f"raw={tmp_path}/raw", "baseline=psnr", "evaluation.num_images=3")
    for name in ("one", "two"):
        evaluated(tokenizer_folder, tmp_path / name, *words, "evaluation.swap=true")
    for name in ("votes_kadid.jsonl", "votes_kadid.psnr.jsonl"):
        one, two = ((tmp_path / run / "results" / name).read_bytes() for run in ("one", "two"))
        assert one == two and one.count(b"\n") == 2 * 3 * 2 * (1 if "psnr" in name else 2)


def test_an_unreadable_image_is_counted_and_the_rest_scored(tokenizer_folder, tmp_path, capsys):
    write_kadid(tmp_path / "raw")
    words = ("evaluation=levels", "source=kadid", f"raw={tmp_path}/raw", "baseline=psnr", "evaluation.split=all")
    (tmp_path / "raw/images/I03_11_02.png").write_bytes(b"no image")
    metrics = evaluated(tokenizer_folder, tmp_path / "run", *words)
    assert metrics["all/levels_kadid/num_errors"] == 2 and metrics["all/levels_kadid/psnr/num_errors"] == 1
    assert metrics["all/levels_kadid/n"] == 80
    assert metrics["all/levels_kadid/no_reference/scores/n"] == metrics["all/levels_kadid/psnr/full_reference/scores/n"]
    errors = [r for r in read_results(tmp_path / "run/results/levels_kadid.jsonl") if r.error]
    assert all("I03_11_02.png" in r.error and r.truth["names"]["a"] == "I03_11_02.png" for r in errors)
    assert "2 of 80 (levels_kadid, depictqa)" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit, match="2"):
        experiments.evaluate.exit_if_unread(metrics)


def test_levels_of_photos(tokenizer_folder, tmp_path, caplog):
    write_koniq(tmp_path / "raw")
    words = ("evaluation=levels", "source=koniq", f"raw={tmp_path}/raw", "evaluation.split=all")
    metrics = evaluated(tokenizer_folder, tmp_path / "run", *words)
    results = read_results(tmp_path / "run" / "results" / "levels_koniq.jsonl")
    assert len(results) == 20 and not (tmp_path / "run" / "results" / "levels_koniq.psnr.jsonl").exists()
    x, y = [r.scores["a"] for r in results], [r.truth["mos"]["a"] for r in results]
    start = "all/levels_koniq/no_reference/scores"
    assert metrics[f"{start}/srcc"] == pytest.approx(spearmanr(x, y)[0]) and metrics[f"{start}/n"] == 20
    assert metrics[f"{start}/srcc_low"] <= metrics[f"{start}/srcc"] <= metrics[f"{start}/srcc_high"]
    table = report(tmp_path / "run")["correlations"]
    assert [row.head[:2] for row in table.rows] == [("DepictQA", "levels_koniq")]
    assert "tasks" not in report(tmp_path / "run")


def test_just_noticeable_differences(tokenizer_folder, tmp_path, capsys):
    write_jnd(tmp_path / "raw")
    words = ("evaluation=bapps_jnd", f"raw={tmp_path}/raw", "baseline=[psnr,ssim]")
    metrics = evaluated(tokenizer_folder, tmp_path / "run", *words)
    for subset, n in (("traditional", 4), ("cnn", 4), ("overall", 8)):
        assert metrics[f"val/bapps_jnd/jnd/{subset}/n"] == n
        assert 0 <= metrics[f"val/bapps_jnd/jnd/{subset}/map_low"] <= metrics[f"val/bapps_jnd/jnd/{subset}/map"] <= 1
        # 1, 2/3, 1/3, 0 of a hit in this order: the precision is 1, 5/6, 2/3
        best = (1 + 2 / 3 * 5 / 6 + 1 / 3 * 2 / 3) / 2
        assert metrics[f"val/bapps_jnd/psnr/jnd/{subset}/map"] == pytest.approx(best, abs=1e-4)
    results = read_results(tmp_path / "run" / "results" / "bapps_jnd.jsonl")
    assert len(results) == 16 and {result.subset for result in results} == {"traditional", "cnn"}
    table = report(tmp_path / "run")["jnd"]
    assert [row.head[0] for row in table.rows] == ["PSNR", "SSIM", "DepictQA"]
    assert "this project's, not the paper's" in " ".join(capsys.readouterr().out.split())
    metrics = evaluated(tokenizer_folder, tmp_path / "few", *words, "evaluation.limit=2", "baseline=[]")
    assert metrics["val/bapps_jnd/jnd/overall/n"] == 4


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["evaluation=votes", "raw=DIR"], "say whose scores: source=kadid, .*mdid2013 or pipal$"),
        (["evaluation=levels", "raw=DIR"], "say whose scores: source=kadid, .*pipal, koniq or spaq$"),
        (["evaluation=votes", "source=kadid"], "made from files; give their folder or archive .raw=DIR."),
        (["evaluation=votes", "source=coco", "raw=DIR"], "coco.* has no scores of people"),
        (["evaluation=votes", "source=koniq", "raw=/etc"], "take evaluation=levels"),
        (["evaluation=votes", "source=kadid", "raw=DIR", "evaluation.num_images=1"], "two images of a reference"),
        (["evaluation=levels", "source=kadid", "raw=DIR", "evaluation.split=vall"], "split 'vall' unknown"),
        (["evaluation=levels", "source=kadid", "raw=nowhere"], "'nowhere' is not a folder"),
        (["evaluation=bapps_jnd"], "raw=DIR"),
    ],
)
def test_mistakes_are_named(tmp_path, words, names):
    write_kadid(tmp_path, 10)
    write_koniq(tmp_path, 3)
    cfg = composed(*(word.replace("DIR", str(tmp_path)) for word in words))
    with pytest.raises((ValueError, FileNotFoundError), match=names):
        experiments.evaluate.open_benchmarks(cfg)


def test_neither_way_of_asking_is_refused(tmp_path):
    write_kadid(tmp_path)
    words = ("evaluation=votes", "source=kadid", f"raw={tmp_path}", "evaluation.with_reference=false")
    (benchmark,) = experiments.evaluate.open_benchmarks(composed(*words))
    assert not any(sample.full_reference for sample in benchmark.samples)
    with pytest.raises(ValueError, match="asked neither way"):
        experiments.evaluate.open_benchmarks(composed(*words, "evaluation.without_reference=false"))
