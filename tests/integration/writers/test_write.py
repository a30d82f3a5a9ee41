"""`program=write` as a command: killed and resumed, refused in one line, and the key seen nowhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

import experiments.schemas  # noqa: F401
from datamodules.writers.drafts import read_drafts
from datamodules.writers.pools import COMPARISON_ANSWERS, COMPARISON_QUESTIONS, load_pools
from experiments.write import run

ROOT = Path(__file__).resolve().parents[3]
QUICK = ["writer.backoff=0.01", "writer.max_retries=2", "writer.requests_per_minute=null", "writer.model=writer"]


def start(*arguments: str, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "run.py"), "program=write", "writer=llm", *QUICK, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env={**os.environ, **variables}, stdout=pipe, stderr=pipe, text=True)


def configured(*overrides: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("run", ["program=write", *overrides])


@pytest.fixture
def written(raw, tmp_path, monkeypatch):
    """Runs the program in this process on `count` annotations; -> its metrics and drafts."""
    monkeypatch.chdir(tmp_path)

    def write(count: int, *overrides: str):
        metrics = run(configured(f"raw={raw(count)}", "out=drafts.jsonl", *overrides))
        return metrics, read_drafts("drafts.jsonl")

    return write


def test_a_killed_run_goes_on_and_pays_only_for_what_was_under_way(api, make, raw, tmp_path):
    num_items, num_parallel = 120, 4
    api.script = lambda item, attempt: make.Answer(body=make.message("Fine.").body, delay=0.02)
    arguments = [f"raw={raw(num_items)}", "out=drafts.jsonl", f"writer.base_url={api.url}"]
    arguments += [f"writer.num_parallel={num_parallel}", "writer.cache=replies"]
    process = start(*arguments, cwd=tmp_path)
    while api.num_answered < 40 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "drafts.jsonl").exists()
    before = sum(api.attempts.values())
    assert 40 <= before < num_items

    process = start(*arguments, cwd=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0, err
    keys = [json.loads(line)["key"] for line in (tmp_path / "drafts.jsonl").read_text().splitlines()]
    assert keys == [f"{number:06d}" for number in range(num_items)]
    twice = sum(count - 1 for count in api.attempts.values())
    print(f"\nkilled after {before} requests; {sum(api.attempts.values())} in all for {num_items} items, {twice} twice")
    assert len(api.attempts) == num_items
    assert twice <= num_parallel


def test_the_key_is_in_no_file_and_in_no_output(api, make, raw, tmp_path):
    answers = [make.failure(500, f"sent: {make.KEY}"), make.message(f"Fine. {make.KEY}"), make.failure(429, make.KEY)]
    api.script = lambda item, attempt: answers[int(item.split()[1]) % 3] if attempt == 1 else answers[0]
    arguments = [f"raw={raw(12)}", "out=drafts.jsonl", f"writer.base_url={api.url}", "writer.cache=replies"]
    process = start(*arguments, cwd=tmp_path, OPENAI_LOG="debug", DEPICTQA_DEBUG="1")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "HTTP Response" in out + err  # the client's own log is on
    assert "8 failed: 500: sent: *** (attempts: 3)" in out
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2 + 4
    for text in (out, err, *(path.read_text() for path in files)):
        assert make.KEY not in text


def test_a_wrong_key_stops_at_once_in_one_line(api, make, raw, tmp_path):
    api.script = lambda item, attempt: make.failure(401, f"Incorrect API key provided: {make.KEY}")
    process = start(f"raw={raw(50)}", "out=drafts.jsonl", f"writer.base_url={api.url}", cwd=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 1
    assert err == f"error: {api.url}/ refuses the key (401); set OPENAI_API_KEY to a valid one in the environment\n"
    assert len(api.starts) <= 8
    assert make.KEY not in out + err
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.jsonl"]


def test_by_rule_no_text_disagrees_with_its_form(written, capsys):
    metrics, drafts = written(30)
    assert metrics == {"items/written": 30, "items/refused": 0, "items/empty": 0, "items/failed": 0,
                       "items/with_problems": 0}  # fmt: skip
    assert {(draft.writer, draft.task) for draft in drafts} == {("rule", "description"), ("rule", "reasoning")}
    assert len({draft.question for draft in drafts}) > 10
    assert written(30)[1] == drafts
    assert "│ written │ 30" in capsys.readouterr().out


def test_outcomes_and_cost_are_told(api, make, written, capsys):
    said = [make.message("Fine."), make.message(""), make.message("Sorry."), make.failure(503, "busy")]
    api.script = lambda item, attempt: said[int(item.split()[1]) % 4]
    settings = [f"writer.base_url={api.url}", "writer.input_price=1", "writer.output_price=10"]
    metrics, drafts = written(40, "writer=llm", *QUICK, *settings)
    assert [metrics[f"items/{outcome}"] for outcome in ("written", "empty", "refused", "failed")] == [10] * 4
    assert metrics["cost"] == pytest.approx(30 * 300e-6)
    told = capsys.readouterr().out
    for line in ("10 failed: 503: busy (attempts: 3)", "10 empty: the answer is empty", "the others cost 0.0090"):
        assert line in told
    assert {draft.cost for draft in drafts} == {300e-6, None}
    assert "brightness and contrast: " in api.sent[0]["messages"][0]["content"]
    assert "Do not mention the form" in api.sent[0]["messages"][0]["content"]


def test_a_cost_cap_stops_in_one_line_and_the_same_command_goes_on(api, make, written, tmp_path) -> None:
    settings = [f"writer.base_url={api.url}", "writer.input_price=1", "writer.output_price=10", "writer.num_parallel=2"]
    capped = ["writer=llm", *QUICK, *settings, f"writer.max_cost={10 * 300e-6}"]
    with pytest.raises(ValueError, match=r"is spent, of at most 0.003 \(writer.max_cost\); what is written is kept"):
        written(20, *capped)
    drafts = read_drafts("drafts.jsonl")
    assert len(drafts) == 20 and 10 <= sum(draft.outcome == "written" for draft in drafts) == len(api.sent) <= 11
    metrics, _ = written(20, *capped)
    assert (metrics["items/written"], len(api.sent)) == (20, 20)
    api.script = lambda item, attempt: make.message("Nothing that fits.")
    with pytest.raises(ValueError, match=r"pool 'comparison_questions': 0.0003 is spent, of at most 0.0003"):
        pool = ["writer.pool=comparison_questions", "out=pool.yaml", "writer.max_cost=0.0003"]
        run(configured("writer=llm", *QUICK, *settings, *pool))


def test_what_cannot_be_written_is_said_before_anything_is_asked(api, written, raw, tmp_path):
    with pytest.raises(ValueError, match="say what to write about and where: raw="):
        run(configured("out=x.jsonl"))
    with pytest.raises(FileNotFoundError, match="'nowhere.jsonl' not found"):
        run(configured("raw=nowhere.jsonl", "out=x.jsonl"))
    with pytest.raises(ValueError, match="exists and holds no drafts"):
        run(configured(f"raw={raw(3)}", f"out={raw(3)}"))
    with pytest.raises(FileNotFoundError, match="folder 'no' not found"):
        run(configured(f"raw={raw(3)}", "out=no/x.jsonl"))
    with pytest.raises(ValueError, match="no model to ask"):
        written(3, "writer=llm")
    with pytest.raises(ValueError, match=r"prompt 'description' lacks {question}"):
        written(3, "writer=llm", "writer.model=x", "writer.prompts.description='{questionnaire}'")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="'empty.jsonl' holds no annotation"):
        run(configured("raw=empty.jsonl", "out=x.jsonl"))
    assert not api.starts


def test_wordings_are_drafted_checked_and_used_only_after_review(api, make, written, tmp_path, capsys):
    rounds = [
        'Here are some:\n1. "Which would you keep, {x} or {y}?"\n2. Why is {x} better than {y}?\n'
        f"3. {COMPARISON_QUESTIONS[0]}\n4. Which is worse, {{x}} or {{y}}?",
        "- Which would you keep, {y} or {x}?\n- From {x} and {y}, pick the cleaner one.\n- One {x} too many or {y}.",
    ]
    api.script = lambda item, attempt: make.message(rounds[len(api.sent) - 1])
    settings = [f"writer.base_url={api.url}", "writer.num_items=2"]
    metrics = run(configured("writer=llm", *QUICK, *settings, "writer.pool=comparison_questions", "out=pool.yaml"))
    assert metrics == {"wordings": 2, "rejected": 5}
    drafted = {
        "pool": "comparison_questions",
        "drafted_by": "writer-2026-01",
        "reviewed": False,
        "items": ["Which would you keep, {x} or {y}?", "From {x} and {y}, pick the cleaner one."],
    }
    path = tmp_path / "pool.yaml"
    assert yaml.safe_load(path.read_text()) == drafted
    assert "Write 1 more" in api.sent[1]["messages"][0]["content"]
    assert drafted["items"][0] in api.sent[1]["messages"][0]["content"]
    assert "2 of 2 wordings in pool.yaml" in capsys.readouterr().out
    with pytest.raises(
        ValueError, match="pool.yaml' is not reviewed; read its items, mend them, then set reviewed: true"
    ):
        load_pools([path])
    path.write_text(path.read_text().replace("reviewed: false", "reviewed: true"))
    assert load_pools([path]) == {"comparison_questions": tuple(drafted["items"])}
    with pytest.raises(ValueError, match="exists already, and may hold a person's review"):
        run(configured("writer=llm", *QUICK, *settings, "writer.pool=comparison_questions", "out=pool.yaml"))
    with pytest.raises(ValueError, match="pool 'questions' unknown; choose comparison_questions, "):
        run(configured("writer=llm", *QUICK, *settings, "writer.pool=questions", "out=other.yaml"))


def test_answers_are_drafted_only_where_the_parser_reads_them(api, make, written, tmp_path):
    new = ["{better} is the nicer image of the two.", "{worse} is better than {better}.", COMPARISON_ANSWERS[3]]
    api.script = lambda item, attempt: make.message("\n".join(new))
    settings = [f"writer.base_url={api.url}", "writer.num_items=3", "writer.pool=comparison_answers", "out=a.yaml"]
    assert run(configured("writer=llm", *QUICK, *settings))["wordings"] == 1
    assert len(api.starts) == 6  # and no more, where a model repeats itself
    assert yaml.safe_load((tmp_path / "a.yaml").read_text())["items"] == new[:1]
