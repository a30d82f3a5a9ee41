"""`program=judge` as a person calls it: on results alone, into the results, and into the tables made of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import experiments.judge
import experiments.schemas  # noqa: F401
from depictqa.evaluation.result import Result, read_results, write_results
from depictqa.sample import Task

ROOT = Path(__file__).resolve().parents[2]
NUM = 40
FORM = {"brightness": "undistorted", "color": "undistorted", "noise": "severe", "artifacts": "undistorted",
        "blur": "mild", "overall": "severe"}  # fmt: skip
QUICK = ["judge.model=judge", "judge.backoff=0.01", "judge.max_retries=2", "judge.requests_per_minute=null"]


def texts(benchmark: str, model: str, num: int) -> list[Result]:
    task = Task(benchmark)
    slots = ("a", "b") if task is Task.REASONING else ("a",)
    truth = {"questionnaires": {slot: FORM for slot in slots}}
    return [
        Result(
            f"{number:03d}",
            task,
            benchmark,
            model,
            number % 2 == 0,
            f"item {number}?",
            f"{model} on {task} {number}",
            "Severe noise.",
            truth=truth,
        )  # fmt: skip
        for number in range(num)
    ]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "results"
    write_results(folder / "description.jsonl", texts("description", "depictqa", NUM))
    write_results(folder / "reasoning.jsonl", texts("reasoning", "depictqa", NUM // 2))
    write_results(folder / "description.llava.jsonl", texts("description", "llava", NUM // 2))
    comparison = [Result("c", Task.COMPARISON, "comparison", "depictqa", True, "?", "Image A", "Image A")]
    write_results(folder / "comparison.jsonl", comparison)
    return tmp_path / "run"


def command(folder: Path, program: str, *words: str) -> subprocess.Popen:
    pipe = subprocess.PIPE
    arguments = [sys.executable, str(ROOT / "run.py"), f"program={program}", *words]
    return subprocess.Popen(arguments, cwd=folder, stdout=pipe, stderr=pipe, text=True, env={**os.environ})


def composed(*words: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("run", ["program=judge", *words])


def test_a_killed_judge_goes_on_and_its_name_and_date_are_in_the_tables(api, make, runs, tmp_path) -> None:
    def answer(item, attempt):
        number = int(item.split()[1])
        said = "no grades" if number == 7 else "8 9" if number % 2 else "10 5"
        return make.Answer(body=make.message(said, model="judge-2026-11").body, delay=0.02)

    api.script = answer
    words = ["runs=run", f"judge.base_url={api.url}", "judge.num_parallel=4", *QUICK]
    before = (runs / "results" / "comparison.jsonl").read_bytes()
    process = command(tmp_path, "judge", *words)
    while api.num_answered < 30 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    asked = len(api.starts)
    assert asked < 4 * NUM

    process = command(tmp_path, "judge", *words)
    out, err = process.communicate()
    assert process.returncode == 0, err
    prompts = {str(sent["messages"]) for sent in api.sent}
    print(f"\nkilled after {asked} requests; {len(api.sent)} in all for {4 * NUM} questions")
    assert len(prompts) == 4 * NUM and len(api.sent) <= 4 * NUM + 4
    assert (runs / "results" / "comparison.jsonl").read_bytes() == before
    (day,) = {one.judgements["relative"]["judge"]["date"] for one in read_results(runs / "results/description.jsonl")}
    assert "judge-2026-11" in out and day in out and "the others have no price" in out
    assert "run/results/description.llava.jsonl" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "run"]

    process = command(tmp_path, "report", "runs=run")
    out, err = process.communicate()
    assert process.returncode == 0, err
    page = (runs / "report" / "report.md").read_text()
    assert f"Judge: relative by judge-2026-11 on {day}." in page and "same text preferred" in page
    table = (runs / "report" / "tables" / "judges.csv").read_text()
    assert table.count(f",relative,judge-2026-11,{day},measured,") == 3


def test_figures_swap_unparsed_and_the_key_nowhere(api, make, runs, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    api.script = lambda item, attempt: make.message("none" if item == "item 7" else f"10 8\n{make.KEY}")
    options = [f"judge.base_url={api.url}", *QUICK, "judge.input_price=1", "judge.output_price=10"]
    metrics = experiments.judge.run(composed("runs=run", *options))
    assert metrics["description/depictqa/judge_score"] == pytest.approx(0.8)
    assert metrics["description/depictqa/judge_score_exchanged"] == 1
    assert metrics["description/llava/judge_order_bias"] == pytest.approx(-0.2)
    assert metrics["reasoning/depictqa/judge_order_agreement"] == 0
    assert (metrics["description/depictqa/judge_n"], metrics["description/depictqa/judge_unparsed"]) == (NUM - 1, 1)
    assert "cost 0.0480" in capsys.readouterr().out
    assert not [path for path in tmp_path.rglob("*.json*") if make.KEY in path.read_text()]

    num = len(api.sent)
    api.script = lambda item, attempt: make.message("7")
    metrics = experiments.judge.run(composed("runs=run", "judge=consistency", *options))
    assert len(api.sent) - num == 2 * NUM
    assert metrics["description/depictqa/judge_score"] == pytest.approx(0.8)  # the paper's protocol stands first
    out = capsys.readouterr().out
    assert "consistency" in out and "relative" in out
    first = (runs / "results" / "description.jsonl").read_bytes()
    experiments.judge.run(composed("runs=run", "judge=consistency", *options))
    assert (runs / "results" / "description.jsonl").read_bytes() == first and len(api.sent) - num == 2 * NUM


def test_a_cost_cap_is_one_line_and_the_same_command_goes_on(api, make, runs, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    api.script = lambda item, attempt: make.message("10 8")
    options = [f"judge.base_url={api.url}", *QUICK, "judge.input_price=1", "judge.output_price=10", "judge.swap=false"]
    cfg = composed("runs=run", *options, f"judge.max_cost={50 * 300e-6}")
    with pytest.raises(ValueError, match=r"is spent, of at most 0.015 \(judge.max_cost\); what is judged stands in"):
        experiments.judge.run(cfg)
    assert 50 <= len(api.sent) <= 57
    metrics = experiments.judge.run(cfg)
    assert len(api.sent) == 2 * NUM
    judged = {name: metrics[f"{name}/judge_n"] for name in ("description/depictqa", "description/llava")}
    assert judged == {"description/depictqa": NUM, "description/llava": NUM // 2}


def test_mistakes_are_said_before_anything_is_asked(api, runs, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"judge.base_url={api.url}"
    (tmp_path / "other" / "results").mkdir(parents=True)
    write_results(tmp_path / "other/results/c.jsonl", read_results(runs / "results/comparison.jsonl"))
    for words, message in (
        ([], "say which runs"),
        (["runs=nowhere"], "folder 'nowhere' not found"),
        (["runs=other"], "no descriptions or reasoning with a person's text in other"),
        (["runs=run"], r"no model to ask; .*\(judge.model=NAME\)"),
        (["runs=run", *QUICK, url, "judge.prompt='{question}'"], r"lacks {context}"),
        (["runs=run", *QUICK, url, "judge=consistency", "judge.swap=true"], "no order to exchange"),
        (["runs=run", *QUICK, url, "judge.num_parallel=0"], r"give at least 1 \(judge.num_parallel\)"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            experiments.judge.run(composed(*words))
    assert not api.starts
