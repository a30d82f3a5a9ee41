"""A server on this machine that speaks the chat-completions API, and ends each request as a script says: for tests, and
to try a program on before it is let loose on a provider.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that are killed, or give up, break connections."""


@dataclass
class Answer:
    """`drop`: the connection ends before the answer, or in the middle of its body. `kind` is what tallies call it."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: str = ""
    kind: str = ""


def message(
    content: str | None,
    *,
    finish: str = "stop",
    model: str = "writer-2026-01",
    logprobs: Sequence[float] | None = None,
    counts_tokens: bool = True,
    **more: Any,
) -> Answer:
    """`more` are further fields of the message, such as `refusal`."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **more}}
    if logprobs is not None:
        choice["logprobs"] = {"content": [{"token": "x", "logprob": value} for value in logprobs]}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120} if counts_tokens else None
    return Answer(body=json.dumps({"id": "x", "model": model, "choices": [choice], "usage": usage}))


def failure(status: int, text: str = "scripted", code: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"error": {"message": text, "code": code}}), named)


class ScriptedServer:
    """`script(item, attempt)` answers a request, attempt counting from 1. An item is what its text calls `item 12`,
    else the whole text. `starts` are the times of all requests, `sent` their bodies, `kinds` how many answers of each
    kind were given.
    """

    def __init__(self) -> None:
        self.script: Callable[[str, int], Answer] = lambda item, attempt: message("Fine.")
        self.attempts: Counter[str] = Counter()
        self.starts: list[float] = []
        self.sent: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.kinds: Counter[str] = Counter()
        self.num_answered = 0
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def receive(self, request: dict[str, Any], key: str | None) -> Answer:
        text = text_of(request)
        found = re.search(r"item \d+", text)
        item = found.group() if found else text
        with self.lock:
            self.starts.append(time.monotonic())
            self.sent.append(request)
            self.keys.add(key)
            self.attempts[item] += 1
            attempt = self.attempts[item]
        answer = self.script(item, attempt)
        with self.lock:
            self.kinds[answer.kind] += 1
        return answer

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def forget(self) -> None:
        self.attempts.clear()
        self.starts.clear()
        self.sent.clear()
        self.kinds.clear()


def text_of(request: dict[str, Any]) -> str:
    """All that a request says in words, without its pictures."""
    contents = [message["content"] for message in request["messages"]]
    parts = [[{"text": one}] if isinstance(one, str) else one for one in contents]
    return "\n".join(part["text"] for some in parts for part in some if "text" in part)


def _handler(api: ScriptedServer) -> type[BaseHTTPRequestHandler]:
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
