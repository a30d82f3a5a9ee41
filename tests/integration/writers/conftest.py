"""A server on this machine that speaks the chat-completions API, and ends each request as a script says."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from datamodules.annotations import Annotation, write_annotations
from datamodules.writers import rules
from depictqa.questionnaire import FIELDS, Level, Overall, Questionnaire
from depictqa.sample import Slot, Truth

KEY = "sk-test-0123456789-never-to-be-seen"


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that are killed, or give up, break connections."""


@dataclass
class Answer:
    """`drop`: the connection ends before the answer, or in the middle of its body."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: str = ""


def message(content: str | None, *, finish: str = "stop", **more: Any) -> Answer:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **more}}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return Answer(body=json.dumps({"id": "x", "model": "writer-2026-01", "choices": [choice], "usage": usage}))


def failure(status: int, text: str = "scripted", code: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"error": {"message": text, "code": code}}), named)


class Api:
    """`script(item, attempt)` answers a request, attempt counting from 1; `starts` are the times of all requests."""

    def __init__(self) -> None:
        self.script: Callable[[str, int], Answer] = lambda item, attempt: message("Fine.")
        self.attempts: Counter[str] = Counter()
        self.starts: list[float] = []
        self.sent: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.num_answered = 0
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def receive(self, request: dict[str, Any], key: str | None) -> Answer:
        prompt = request["messages"][0]["content"]
        found = re.search(r"item \d+", prompt)
        item = found.group() if found else prompt
        with self.lock:
            self.starts.append(time.monotonic())
            self.sent.append(request)
            self.keys.add(key)
            self.attempts[item] += 1
            attempt = self.attempts[item]
        return self.script(item, attempt)

    def forget(self) -> None:
        self.attempts.clear()
        self.starts.clear()
        self.sent.clear()


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path_is_known = self.path == "/v1/chat/completions"
            answer = api.receive(request, self.headers["Authorization"]) if path_is_known else failure(404)
            time.sleep(answer.delay)
            self.close_connection = bool(answer.drop)
            if answer.drop == "before":
                return
            body = answer.body.encode()
            try:
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if answer.drop else body)
            except ConnectionError:  # the client has given up
                self.close_connection = True
            with api.lock:
                api.num_answered += 1

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """With a key in the environment, and no proxy in the way."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Api()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """What scripts are made of: `make.message`, `make.failure`, `make.Answer`, `make.KEY`, `make.annotations`."""
    return SimpleNamespace(message=message, failure=failure, Answer=Answer, KEY=KEY, annotations=annotations)


def annotations(count: int) -> list[Annotation]:
    """Every third of a pair; the texture names the item, so that the server knows which one it is asked about."""
    rng = np.random.default_rng(count)

    def form(number: int) -> Questionnaire:
        levels = {name: Level(rng.choice(list(Level))) for name in FIELDS}
        return Questionnaire(**levels, overall=Overall(rng.choice(list(Overall))), texture=f"item {number}")

    found = []
    for number in range(count):
        slots = (Slot.A, Slot.B) if number % 3 == 2 else (Slot.A,)
        better = Slot.B if len(slots) == 2 else None
        images = {slot: f"{slot}.png" for slot in slots}
        forms = {slot: form(number) for slot in slots}
        found.append(Annotation(f"{number:06d}", "ada", images, forms, better))
    return found


@pytest.fixture(scope="session")
def true_text() -> Callable[[Annotation], str]:
    """A text in which the parser finds every field as the form states it."""

    def text(annotation: Annotation) -> str:
        truth, rng = Truth(better=annotation.better, questionnaires=annotation.forms), np.random.default_rng(0)
        return rules.reason(truth, rng) if annotation.is_pair else rules.describe(truth, rng)

    return text


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[int], Path]:
    """A file of so many annotations."""

    def write(count: int) -> Path:
        write_annotations(tmp_path / "annotations.jsonl", annotations(count))
        return tmp_path / "annotations.jsonl"

    return write
