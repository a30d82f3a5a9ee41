"""`program=report` as a person calls it, on results alone."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import mean, stdev

import pytest
from hydra import compose, initialize_config_dir

import experiments.report
import experiments.schemas  # noqa: F401
from depictqa.evaluation.evaluate import score_folder
from experiments.jobs import Job, State, write_list

ROOT = Path(__file__).resolve().parents[2]


def report(folder: Path, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "run.py"), "program=report", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def composed(*words: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("run", ["program=report", *words])


def test_a_report_on_two_runs_in_every_format(tmp_path, write_run):
    for seed in (1, 2):
        write_run(tmp_path / "mine" / f"seed_{seed}", seed)
    done = report(tmp_path, "runs=[mine/seed_1,mine/seed_2]", "out=page")
    assert done.returncode == 0, done.stderr
    assert "DepictQA †" in done.stdout and "page/report.html" in done.stdout and "seed_2" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "page"]  # no run folder
    page = (tmp_path / "page" / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == len(list((tmp_path / "page" / "plots").glob("*.png"))) == 6
    for name in ("report.md", "report.tex"):
        assert "80.3" in (tmp_path / "page" / name).read_text()
    with open(tmp_path / "page" / "tables" / "tasks.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "DepictQA"]
    assert [row["run"] for row in rows] == ["seed_1", "seed_2"] and {row["source"] for row in rows} == {"measured"}
    for row in rows:
        scores = score_folder(tmp_path / "mine" / row["run"])["comparison", "depictqa"]
        accuracy = 100 * scores["full_reference/accuracy"]
        assert float(row["comparison: over all"]) == pytest.approx(accuracy)
        assert float(row["comparison: over all, n"]) == 30


def test_by_default_it_stands_with_the_runs_and_is_replaced(tmp_path, write_run, capsys):
    write_run(tmp_path / "run", num=4)
    cfg = composed(f"runs={tmp_path / 'run'}")
    metrics = experiments.report.run(cfg)
    assert metrics == experiments.report.run(cfg)  # its own folder holds no results
    assert metrics["comparison/depictqa/n"] == 8
    assert (tmp_path / "run" / "report" / "report.html").is_file()
    assert "Results read" in capsys.readouterr().out


def test_mistakes_are_one_line(tmp_path):
    done = report(tmp_path, "runs=nowhere")
    assert done.returncode == 1 and done.stderr == (
        "error: folder 'nowhere' not found; name run folders, or one that holds some (runs)\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [[], ["runs=[]"], ["runs=''"]])
def test_runs_must_be_said(words):
    with pytest.raises(ValueError, match="runs=DIR or runs="):
        experiments.report.run(composed(*words))


def test_an_empty_folder_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileNotFoundError, match="no results"):
        experiments.report.run(composed(f"runs={tmp_path}"))
    assert not list(tmp_path.iterdir())


def test_a_single_job_is_named_by_its_point(tmp_path, write_run, capsys):
    jobs = [Job(tmp_path / "s" / str(number), (f"seed={number}", "logger=csv")) for number in (1, 2)]
    write_list(tmp_path / "s", [], {}, jobs)
    write_run(tmp_path / "s" / "2", num=4)
    experiments.report.run(composed(f"runs={tmp_path / 's' / '2'}"))
    told = f"Results of {tmp_path / 's' / '2'} (seed=2)."
    assert capsys.readouterr().out.splitlines()[0] == told
    assert told in (tmp_path / "s" / "2" / "report" / "report.html").read_text()


def test_a_sweeps_jobs_are_named_by_their_points_and_those_without_figures_by_their_cause(tmp_path, write_run, capsys):
    sweep = tmp_path / "s"
    jobs = [Job(sweep / str(number), ("data=a_b", f"seed={number}")) for number in range(4)]
    write_list(sweep, [], {}, jobs)
    states = [(State.FINISHED, ""), (State.FAILED, "no room"), (State.FINISHED, "")]
    for job, (state, cause) in zip(jobs, states, strict=False):
        replace(job, state=state, cause=cause).save()
    write_run(sweep / "0", 0, num=4)
    write_run(sweep / "2", 2, num=4)
    told = [
        "0: seed=0",
        "1: seed=1; no figures yet (failed: no room)",
        "2: seed=2",
        "3: seed=3; no figures yet (waiting)",
    ]
    experiments.report.run(composed(f"runs={sweep}"))
    assert capsys.readouterr().out.splitlines()[1:5] == told
    page = (sweep / "report" / "report.html").read_text()
    assert all(f"<p>{line}</p>" in page for line in told)
    assert "- 2: seed=2\n" in (sweep / "report" / "report.md").read_text()
    experiments.report.run(composed(f"runs=[{sweep / '0'},{sweep / '2'}]", f"out={tmp_path / 'two'}"))
    assert capsys.readouterr().out.splitlines()[1:3] == ["0: seed=0", "2: seed=2"]


def test_a_sweep_is_put_together_by_what_was_varied(tmp_path, write_run):
    for number, (data, seed) in enumerate(product(("full_mix", "templated"), (1, 2))):
        write_run(tmp_path / "s" / str(number), 10 * number, num=4)
        Job(tmp_path / "s" / str(number), (f"data={data}", "logger=csv", f"seed={seed}"), State.FINISHED).save()
    write_run(tmp_path / "s" / "other", num=4)  # a run of its own
    (tmp_path / "jobs.yaml").write_text("another program's")
    metrics = experiments.report.run(composed(f"runs={tmp_path / 's'}"))
    with open(tmp_path / "s" / "report" / "tables" / "points.csv", newline="") as file:
        rows = {row["point"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["data=full_mix", "data=templated"]
    values = [100 * metrics[f"{run}/comparison/depictqa/full_reference/accuracy"] for run in "01"]
    row = rows["data=full_mix"]
    assert float(row["comparison %: with reference"]) == pytest.approx(mean(values))
    assert float(row["comparison %: with reference, sd"]) == pytest.approx(stdev(values), abs=1e-9)
    assert row["comparison %: with reference, n"] == "2"
    assert "points_comparison.png" in (tmp_path / "s" / "report" / "report.md").read_text()
