"""Lines between a run's processes: where one of them is gone, all others hear of it within seconds, and why.

Processes wait for each other in every step. One that dies leaves the others waiting: with NCCL until a timeout of many
minutes, with an error that names no cause where it says anything. The system, though, closes a dead process's
connections at once, on whatever machine it was; so each process holds one to the first, which passes the news on.
A process that is stopped (SIGSTOP, a suspended job) is not gone, and nothing happens.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

HELLO = {"token", "rank", "name"}  # a member's first message
CONNECT = 60.0  # seconds for which a process tries to reach the first


@dataclass(frozen=True)
class Fault:
    """Which process ended, with which exit code, and what is known of the cause; `said`: it told so itself."""

    rank: int
    code: int
    why: str
    said: bool


@dataclass(frozen=True)
class Address:
    """Where the first process listens. Who does not know the token is not heard."""

    host: str
    port: int
    token: str
    name: str


class Hub:
    """The first process's end. `gone` is called, in a thread, at the first fault of another one."""

    def __init__(self, gone: Callable[[Fault], None], host: str = "127.0.0.1") -> None:
        self._gone = gone
        self._server = socket.create_server(("127.0.0.1" if _is_loopback(host) else "", 0), backlog=512)
        self.address = Address(host, self._server.getsockname()[1], secrets.token_hex(16), _name(0))
        self._lines: list[_Line] = []
        self._lock = threading.Lock()
        _close_in_forks(self._sockets)
        threading.Thread(target=self._listen, daemon=True, name="lifeline").start()

    def leave(self, code: int, why: str) -> None:
        """Says that this process ends, and goes on listening: the connections end with the process."""
        self._tell(Fault(0, code, why, said=True))

    def _tell(self, fault: Fault) -> None:
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.send(asdict(fault))

    def _sockets(self) -> list[socket.socket]:
        return [self._server, *(line.socket for line in self._lines)]

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ, None)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        line = _Line(self._server.accept()[0])
                        selector.register(line.socket, selectors.EVENT_READ, line)
                    elif not self._hear(key.data):
                        selector.unregister(key.data.socket)
                        key.data.socket.close()

    def _hear(self, line: _Line) -> bool:
        """Whether there is more to come on this line."""
        messages, open_ = line.receive()
        for message in messages:
            if line.rank is None:
                if message.keys() != HELLO or message["token"] != self.address.token:
                    return False
                line.rank, line.name = message["rank"], message["name"]
                with self._lock:
                    self._lines.append(line)
            else:
                line.left = True
                self._pass_on(line, Fault(line.rank, message["code"], message["why"], said=True))
        if not open_ and line.rank is not None and not line.left:
            self._pass_on(line, Fault(line.rank, 1, killed(line.name), said=False))
        return open_

    def _pass_on(self, line: _Line, fault: Fault) -> None:
        with self._lock:
            self._lines.remove(line)
        if fault.code:
            self._tell(fault)
            self._gone(fault)


class Member:
    """Any other process's end."""

    def __init__(self, rank: int, address: Address, gone: Callable[[Fault], None]) -> None:
        self._gone, self._first = gone, address.name
        self._line = _Line(socket.create_connection((address.host, address.port), CONNECT))
        self._line.socket.settimeout(None)
        self._line.send({"token": address.token, "rank": rank, "name": _name(rank)})
        self._over = threading.Event()
        self._left = False
        _close_in_forks(lambda: [self._line.socket])
        threading.Thread(target=self._listen, daemon=True, name="lifeline").start()

    def leave(self, code: int, why: str) -> None:
        """Says that this process ends."""
        self._left = True
        self._line.send({"code": code, "why": why})

    def wait(self, seconds: float) -> None:
        """Until the first process has ended."""
        self._over.wait(seconds)

    def _listen(self) -> None:
        open_, told = True, False
        while open_:
            messages, open_ = self._line.receive()
            for message in messages:
                told = True
                if message["code"]:
                    self._gone(Fault(**message))
        self._over.set()
        if not told and not self._left:
            self._gone(Fault(0, 1, killed(self._first), said=False))


class _Line:
    """A connection that carries JSON, a message a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.rank: int | None = None
        self.name = ""
        self.left = False
        self._rest = b""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # A machine that is gone closes nothing; then nobody answers for 30 seconds.
        for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def send(self, message: dict[str, Any]) -> None:
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the other end is gone, which the reader of this line is told

    def receive(self) -> tuple[list[dict[str, Any]], bool]:
        """Whole messages that have come, and whether the line is still open."""
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except (ValueError, RecursionError):  # not one of ours
            return [], False
        if not all(isinstance(message, dict) for message in messages):
            return [], False
        return messages, bool(data)


def killed(name: str) -> str:
    return f"{name} is gone: it was killed (for want of memory, perhaps), or its machine is down"


def _name(rank: int) -> str:
    return f"rank {rank} (process {os.getpid()} on {socket.gethostname()})"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _close_in_forks(sockets: Callable[[], list[socket.socket]]) -> None:
    """Workers must not hold the connection of a process that has died open."""

    def close() -> None:
        for each in sockets():
            each.close()

    os.register_at_fork(after_in_child=close)
