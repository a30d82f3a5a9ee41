"""A page on a port of this machine, until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EADDRINUSE

from datamodules.pages.session import Page

HOST = "127.0.0.1"  # no other machine sees the images, or can answer


def serve(page: Page, port: int, announce: Callable[[str], None]) -> None:
    """Every answer is on disk by the time the next item is shown, so there is nothing to save at the end."""
    with listen(port) as taken:
        from datamodules.pages.application import server  # takes seconds; a port in use is said before

        waiting = server(page)
        announce(f"http://{HOST}:{taken.getsockname()[1]}")
        try:
            waiting.run(sockets=[taken])
        except KeyboardInterrupt:
            pass


def listen(port: int) -> socket.socket:
    """A socket for the page; port 0 takes any that is free. ValueError where the port is taken."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
        taken.listen()  # a browser that is faster than the server waits, and is not turned away
    except (OSError, OverflowError) as error:
        taken.close()
        if isinstance(error, OSError) and error.errno == EADDRINUSE:
            raise ValueError(f"port {port} is in use; choose another (port={port + 1})") from None
        raise ValueError(f"port {port} cannot be used ({error}); choose another (port=7860)") from None
    return taken
