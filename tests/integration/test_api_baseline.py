"""`program=evaluate baseline=[api]` as a person calls it, with a server of this machine that fails at times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datamodules.records import Record, RecordSample
from datamodules.shards import ShardWriter
from depictqa.evaluation.result import read_results
from depictqa.sample import Slot, Task, Truth, Turn
from depictqa.testing import random_image

ROOT = Path(__file__).resolve().parents[2]
NUM = 24


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    with ShardWriter(folder / "shards", "test", source="made", licence="CC0-1.0", seed=1) as writer:
        for number in range(NUM):
            images = {slot: random_image((48, 40), 3 * number + place) for place, slot in enumerate(Slot)}
            turn = Turn(f"item {number}: which image is better?", "Image B")
            sample = RecordSample(Task.COMPARISON, tuple(Slot), (turn,), Truth(better=Slot.B))
            writer.write(Record(f"{number:04d}", images, (sample,), f"photo{number}"))
    return folder


def start(work: Path, *words: str) -> subprocess.Popen:
    options = [
        "program=evaluate",
        "data=templated",
        "data.root=shards",
        "scale.synthetic=null",
        "model_under_test=none",
    ]
    options += ["baseline=[api]", "baseline.api.model=vendor/eye", "baseline.api.backoff=0.01", "trainer=cpu"]
    options += ["baseline.api.max_retries=2", "baseline.api.requests_per_minute=null", "evaluation.max_new_tokens=4"]
    options += ["baseline.api.options={max_completion_tokens: 40}", "evaluation.batch_size=12"]
    command = [sys.executable, str(ROOT / "run.py"), *options, *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=work, stdout=pipe, stderr=pipe, text=True, env={**os.environ})


def test_a_killed_evaluation_asks_nothing_twice_and_faults_are_survived(api, make, work) -> None:
    good = make.message("Image B is better.", logprobs=[-0.5])
    faults = [make.failure(429, retry_after="0.1"), make.failure(500), make.Answer(drop="before")]
    faults += [make.Answer(body=good.body[:30]), make.Answer(body=good.body, drop="within")]

    def answer(item, attempt):
        number = int(item.split()[1])
        if number == 7:
            return make.failure(503, "busy")
        if number == 8:
            return make.message("I'm sorry, I can't help with that.")
        if number == 9:
            return make.message("")
        return faults[number % len(faults)] if attempt == 1 else make.Answer(body=good.body, delay=0.02)

    api.script = answer
    words = [f"baseline.api.base_url={api.url}", "baseline.api.logprobs=true", "baseline.api.num_parallel=2"]
    process = start(work, *words, "hydra.run.dir=out")
    while api.num_answered < 20 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (work / "out" / "results" / "comparison.eye.jsonl").exists()
    killed_after = sum(api.attempts.values())

    process = start(work, *words, "hydra.run.dir=out")
    out, err = process.communicate()
    assert process.returncode == 2, err  # item 7 got no answer
    results = {
        int(one.question.split()[1][:-1]): one for one in read_results(work / "out/results/comparison.eye.jsonl")
    }
    expected = {8: "refused: the text declines to answer", 9: "empty: the answer is empty"}
    assert {number: one.reason for number, one in results.items() if one.reason} == expected
    assert results[7].error == "failed: 503: busy (attempts: 3)" and "1 of 24 (comparison, eye)" in out
    assert sum(one.parsed == {"better": "b"} for one in results.values()) == NUM - 3 == len(results) - 3
    assert {round(one.confidence, 3) for one in results.values() if one.parsed} == {0.607}
    requests = sum(api.attempts.values())
    more = sum(count - 2 for item, count in api.attempts.items() if count > 2 and item != "item 7")
    print(f"\nkilled after {killed_after} requests; {requests} in all for {NUM} items, {more} of them again")
    assert more <= 2  # what was under way when it was killed
    assert "eye" in out and "87.5 %" in out  # failures to answer count as wrong
    assert all(sent["temperature"] == 0 and sent["max_completion_tokens"] == 40 for sent in api.sent)
    kinds = [part["type"] for part in api.sent[0]["messages"][0]["content"]]
    assert kinds == ["text", "image_url"] * 3 + ["text"]
    assert api.keys == {f"Bearer {make.KEY}"}
    assert not [path for path in work.rglob("*.json*") if make.KEY in path.read_text()]


def test_a_wrong_key_or_a_missing_model_is_one_line(api, make, work) -> None:
    api.script = lambda item, attempt: make.failure(401, f"Incorrect key {make.KEY}")
    process = start(work, f"baseline.api.base_url={api.url}", "hydra.run.dir=wrong", "baseline.api.cache=none")
    out, err = process.communicate()
    assert process.returncode == 1
    last = err.strip().splitlines()[-1]
    assert last == f"error: {api.url}/ refuses the key (401); set OPENAI_API_KEY to a valid one in the environment"
    assert make.KEY not in out + err
    process = start(work, "baseline.api.model=null", "hydra.run.dir=none")
    _, err = process.communicate()
    assert process.returncode == 1 and "(baseline.api.model=NAME)" in err.strip().splitlines()[-1]
