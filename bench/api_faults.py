"""A server that fails in every way that servers do, and a model behind it that is asked all the same: a tally.

uv run --extra llm python bench/api_faults.py [--help]

A server on this machine speaks the chat-completions API and meets each question with one of FAULTS. `baseline=api`'s
answerer puts comparisons with pictures to it: first while it fails, then again when it is well. Then a wrong key and a
cost cap. Ends with 1 where an item was lost, or one that was answered was asked again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from depictqa.baselines.api import ApiModel
from depictqa.chat.scripted_server import Answer, ScriptedServer, failure, message
from depictqa.evaluation.benchmark import Questions
from depictqa.evaluation.result import Result
from depictqa.sample import Slot, Truth
from depictqa.testing import make_sample

KEY = "sk-made-up-for-this-drill"
TIMEOUT = 1.0  # seconds
RETRIES = 3
GOOD = message("Image B is better.", model="eye-2026-11")


class Fault(NamedTuple):
    """Answers before the last one, then the last: each time for one item."""

    kind: str
    before: Sequence[Answer]
    last: Answer = GOOD


LATE = Answer(delay=2 * TIMEOUT)
FAULTS = (
    Fault("429", [failure(429)]),
    Fault("429, Retry-After", [failure(429, retry_after="0.1"), failure(429, retry_after_ms="50")]),
    Fault("500", [failure(500)]),
    Fault("503 twice", [failure(503)] * 2),
    Fault("time-out", [LATE]),
    Fault("cut before the answer", [Answer(drop="before")]),
    Fault("cut within the answer", [Answer(body=GOOD.body, drop="within")]),
    Fault("half a JSON", [Answer(body=GOOD.body[:40])]),
    Fault("HTML", [Answer(body="<html>busy</html>", headers={"Content-Type": "text/html"})]),
    Fault("JSON without a choice", [Answer(body='{"choices": []}')]),
    Fault("500 for good", [failure(500)] * (RETRIES + 1)),
    Fault("empty answer", [], message("")),
    Fault("refusal", [], message(None, refusal="I will not say.")),
    Fault("refusal in words", [], message("I'm sorry, but I can't assist with that.")),
    Fault("content filter", [], failure(400, code="content_filter")),
    Fault("cut off at the limit", [], message("Image B is better, as Image A", finish="length")),
    Fault("none", []),
)


def main(args: argparse.Namespace) -> dict[str, Any]:
    os.environ |= {"OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    server = ScriptedServer()
    begin = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = drill(server, Path(folder), args.items, args.parallel)
    finally:
        server.close()
    found["seconds"] = round(time.monotonic() - begin, 1)
    print(json.dumps(found) if args.json else told(found))
    return found


def drill(server: ScriptedServer, folder: Path, num_items: int, num_parallel: int) -> dict[str, Any]:
    def fault_of(item: str) -> Fault:
        return FAULTS[int(item.split()[1]) % len(FAULTS)]

    def fail(item: str, attempt: int) -> Answer:
        fault = fault_of(item)
        return fault.before[attempt - 1] if attempt <= len(fault.before) else fault.last

    server.script = fail
    first = ask(server, folder, num_items, num_parallel)
    asked = Counter(server.attempts)
    server.forget()
    server.script = lambda item, attempt: GOOD
    second = ask(server, folder, num_items, num_parallel)
    unanswered = {f"item {result.key}" for result in first if result.error}
    rows = []
    for fault in FAULTS:
        mine = [result for result in first if fault_of(f"item {result.key}") is fault]
        faults = sum(min(asked[f"item {one.key}"], len(fault.before)) for one in mine) + (
            len(mine) if fault.last is not GOOD else 0
        )
        reasons = sorted({one.reason or one.error or "" for one in mine} - {""})
        answered = sum(one.parsed is not None for one in mine)
        rows.append([fault.kind, len(mine), faults, sum(asked[f"item {one.key}"] for one in mine), answered, *reasons])
    return {
        "items": num_items,
        "requests": sum(asked.values()),
        "rows": rows,
        "lost": num_items - len({result.key for result in first}),
        "asked_again": len(server.attempts),
        "asked_again_though_answered": len(set(server.attempts) - unanswered),
        "answered_at_last": sum(result.parsed is not None for result in second),
        "wrong_key": refused(server, folder / "key", failure(401, f"bad key {KEY}"), num_items, num_parallel),
        "cost_cap": refused(server, folder / "cap", GOOD, num_items, num_parallel, max_cost=10 * 300e-6),
    }


def ask(server: ScriptedServer, folder: Path, num_items: int, num_parallel: int, **more: Any) -> list[Result]:
    """Results as an evaluation makes them, a batch at a time."""
    model = ApiModel(
        "eye", base_url=server.url, cache=folder / "replies", num_parallel=num_parallel, timeout=TIMEOUT,
        max_retries=RETRIES, backoff=0.02, input_price=1.0, output_price=10.0, **more,
    )  # fmt: skip
    model.check()
    samples = [
        make_sample(question=f"item {number}: which image is better?", key=f"{number}", truth=Truth(better=Slot.B))
        for number in range(num_items)
    ]
    benchmark = Questions("comparison", samples)
    return [result for start in range(0, num_items, 32) for result in benchmark.ask(model, samples[start : start + 32])]


def refused(
    server: ScriptedServer, folder: Path, answer: Answer, num_items: int, num_parallel: int, **more: Any
) -> tuple[int, str]:
    """Requests until it stops, and the line by which it does."""
    server.forget()
    server.script = lambda item, attempt: answer
    try:
        ask(server, folder, num_items, num_parallel, **more)
    except ValueError as error:
        return len(server.starts), str(error).replace(server.url, "URL")
    return len(server.starts), "it did not stop"


def told(found: dict[str, Any]) -> str:
    lines = [f"{'fault':22} {'items':>5} {'faults':>6} {'requests':>8} {'answered':>8}  the others"]
    for kind, items, faults, requests, answered, *reasons in found["rows"]:
        lines.append(f"{kind:22} {items:5} {faults:6} {requests:8} {answered:8}  {'; '.join(reasons)}")
    total = [sum(row[column] for row in found["rows"]) for column in range(1, 5)]
    lines.append(f"{'all':22} {total[0]:5} {total[1]:6} {total[2]:8} {total[3]:8}")
    lines.append(f"lost: {found['lost']} of {found['items']} items")
    lines.append(
        f"again, the server being well: {found['asked_again']} items asked, {found['asked_again_though_answered']} of "
        f"them though they had an answer; {found['answered_at_last']} answers can be read"
    )
    for name in ("wrong_key", "cost_cap"):
        requests, line = found[name]
        lines.append(f"{name.replace('_', ' ')}: {requests} requests, then: {line}")
    return "\n".join([*lines, f"{found['seconds']} s"])


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=12 * len(FAULTS), help="comparisons to be asked")
    parser.add_argument("--parallel", type=int, default=8, help="requests at a time")
    parser.add_argument("--json", action="store_true", help="one line of JSON in place of the table")
    return parser.parse_args(words)


if __name__ == "__main__":
    result = main(arguments())
    sys.exit(1 if result["lost"] or result["asked_again_though_answered"] else 0)
