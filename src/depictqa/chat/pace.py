"""The pace of requests: so many a minute over all threads, on hold where the server asks for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class Stopped(Exception):
    """The work was called off; whoever waits gives up."""


class Pace:
    """Requests start at least 60 / `per_minute` seconds apart; None: as fast as they come."""

    def __init__(self, per_minute: float | None) -> None:
        if per_minute is not None and not per_minute > 0:
            raise ValueError(f"{per_minute} requests a minute; give a positive number, or null for no limit")
        self._gap = 0.0 if per_minute is None else 60.0 / per_minute
        self._next = 0.0  # the earliest start that is still free, by the monotonic clock
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def wait(self) -> None:
        """Until it is the caller's turn. Raises Stopped."""
        with self._lock:
            now = time.monotonic()
            start = max(self._next, now)
            self._next = start + self._gap
        self.sleep(start - now)

    def hold(self, seconds: float) -> None:
        """No further request starts before that."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Like `time.sleep`, but ends with Stopped as soon as `stop` is called."""
        if self._stopped.wait(max(0.0, seconds)):
            raise Stopped

    def stop(self) -> None:
        """Wake all that wait, and let nothing start any more."""
        self._stopped.set()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: `Retry-After` as a number or a date, or `retry-after-ms`."""
    milliseconds, stated = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds:
            return max(0.0, float(milliseconds) / 1000)
        return max(0.0, float(stated)) if stated else None
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(stated or "")
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
