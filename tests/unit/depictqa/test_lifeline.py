"""Real processes on this machine: one dies, and the others are told who."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from depictqa.lifeline import Address, Fault, Hub

SRC = Path(__file__).resolve().parents[3] / "src"

MEMBER = """
import json, os, signal, sys, time
from dataclasses import asdict
from depictqa.lifeline import Address, Member
rank, address = int(sys.argv[1]), Address(**json.loads(sys.argv[2]))
def gone(fault):
    print(json.dumps(asdict(fault)), flush=True)
    os._exit(0)
member = Member(rank, address, gone)
if rank == 7 and os.fork() == 0:  # a worker that outlives its parent
    time.sleep(20)
print("here", flush=True)
for line in sys.stdin:
    member.leave(int(line), "no such file")
"""


def member(rank: int, address: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", MEMBER, str(rank), json.dumps(asdict(address))]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(SRC)}
    )
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    return process


@pytest.fixture
def run() -> Iterator[Any]:
    """A hub, what it is told, and a function that starts members."""
    told: queue.Queue[Fault] = queue.Queue()
    hub, started = Hub(told.put), []

    def start(rank: int) -> subprocess.Popen[str]:
        started.append(member(rank, hub.address))
        return started[-1]

    yield hub, told, start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("rank", [1, 7])
def test_a_process_that_is_killed_is_named_to_all(run: Any, rank: int) -> None:
    hub, told, start = run
    dying, other = start(rank), start(2)
    start_of_wait = time.monotonic()
    dying.send_signal(signal.SIGKILL)
    fault = told.get(timeout=10)
    assert (fault.rank, fault.code, fault.said) == (rank, 1, False)
    assert fault.why.startswith(f"rank {rank} (process {dying.pid} on {socket.gethostname()}) is gone: it was killed")
    assert json.loads(other.stdout.readline()) == asdict(fault)
    assert time.monotonic() - start_of_wait < 10


def test_a_process_that_ends_says_why(run: Any) -> None:
    hub, told, start = run
    ending, other = start(1), start(2)
    ending.stdin.write("143\n")
    ending.stdin.flush()
    assert told.get(timeout=10) == Fault(1, 143, "no such file", said=True)
    assert json.loads(other.stdout.readline())["code"] == 143


def test_nothing_is_wrong_with_one_that_is_done_and_one_that_is_stopped(run: Any) -> None:
    hub, told, start = run
    done, stopped, other = start(1), start(2), start(3)
    done.communicate("0\n", timeout=10)
    stopped.send_signal(signal.SIGSTOP)
    with pytest.raises(queue.Empty):
        told.get(timeout=1.5)
    hub.leave(1, "its own error")  # and those who are there hear of the first one
    assert json.loads(other.stdout.readline()) == {"rank": 0, "code": 1, "why": "its own error", "said": True}


def test_who_does_not_know_the_token_is_not_heard(run: Any) -> None:
    hub, told, start = run
    other = start(1)
    half = json.dumps({"token": hub.address.token}).encode() + b"\n"
    wrong = b'{"token": "x", "rank": 5, "name": ""}\n'
    for words in (wrong, half, b"GET / HTTP/1.1\r\n\r\n", b"1\n", b"[" * 9000 + b"\n"):
        with socket.create_connection(("127.0.0.1", hub.address.port), timeout=10) as stranger:
            stranger.sendall(words)
            assert stranger.recv(1) == b"", "it is hung up on"
    socket.create_connection(("127.0.0.1", hub.address.port)).close()
    with pytest.raises(queue.Empty):
        told.get(timeout=1)
    other.kill()
    assert told.get(timeout=10).rank == 1


def test_members_hear_where_the_first_process_is_killed() -> None:
    code = (
        "import json, time\nfrom dataclasses import asdict\nfrom depictqa.lifeline import Hub\n"
        "print(json.dumps(asdict(Hub(print).address)), flush=True)\ntime.sleep(60)"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(SRC)}
    )
    assert first.stdout is not None
    address = Address(**json.loads(first.stdout.readline()))
    other = member(1, address)
    first.kill()
    first.wait()
    assert other.stdout is not None
    fault = json.loads(other.stdout.readline())
    assert fault["rank"] == 0 and fault["why"].startswith(f"rank 0 (process {first.pid} on ") and not fault["said"]
    other.wait(timeout=10)
