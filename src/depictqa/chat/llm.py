"""An LLM behind the chat-completions API: asked in parallel at a steady pace, and for nothing twice.

What may pass (too many requests, a server's fault, a time-out, a cut connection, a broken body) is tried again with
exponential back-off; what will not (a wrong key, model or address, no credit) stops the run with one line. The key
comes from the environment and is passed to the client, nowhere else; what a server says of it is struck out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from depictqa.chat.cache import ReplyCache
from depictqa.chat.pace import Pace, Stopped
from depictqa.chat.replies import BrokenReply, Outcome, Reply, read_reply

KEY_VARIABLE = "OPENAI_API_KEY"
NO_KEY = "none"  # what a server that needs no key is sent: the client insists on one
MIN_SECRET = 8  # characters, from which a key is struck out of what a server says; shorter ones are made up
MAX_BACKOFF = 60.0  # seconds between two attempts that we choose ourselves
MAX_WAIT = 300.0  # seconds that a server may ask us to wait; beyond, the run stops
MAX_FAILED_IN_ROW = 20  # items, after which nothing more is to be expected
PASSING_STATUS = (408, 409, 425, 429)  # and all from 500
NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")
FILTERED = ("content_filter", "content_policy_violation")


class Unusable(ValueError):
    """The API will not answer however often it is asked: one line that names the fix."""


class _PassingFault(Exception):
    """Worth another attempt, after `wait` seconds where the server says so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Llm:
    """A model at `base_url` (None: OpenAI, or OPENAI_BASE_URL). Close it, or use it in a `with`.

    `temperature` None leaves it to the server; `timeout` and `backoff` (before the second attempt) are in seconds;
    prices are per million tokens; `options` are further fields of the request, such as a limit of tokens.
    """

    def __init__(
        self,
        model: str,
        cache: ReplyCache,
        *,
        base_url: str | None = None,
        key_variable: str = KEY_VARIABLE,
        temperature: float | None = None,
        requests_per_minute: float | None = None,
        timeout: float = 60.0,
        max_retries: int = 6,
        backoff: float = 1.0,
        input_price: float | None = None,
        output_price: float | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not model:
            raise ValueError("no model to write; give the name that the server knows it by (writer.model=NAME)")
        if base_url is not None and not re.match(r"https?://[^/\s]+", base_url):
            raise ValueError(f"'{base_url}' is no address; give http://HOST:PORT/v1 or https://... (writer.base_url)")
        openai, self._tenacity = _libraries()
        self._errors = openai
        key = _key(key_variable, required=base_url is None)
        self._client = openai.OpenAI(api_key=key, base_url=base_url, timeout=timeout, max_retries=0)
        self._redact = _redactor(key)
        self.model, self.key_variable, self.cache = model, key_variable, cache
        self.base_url = str(self._client.base_url)
        self.temperature, self.options = temperature, dict(options or {})
        self.timeout, self.max_retries, self.backoff = timeout, max_retries, backoff
        self.prices = (input_price, output_price)
        self.pace = Pace(requests_per_minute)
        self.num_cached, self.spent = 0, 0.0  # replies that were there already; what the others cost
        self.given_up: str | None = None  # why no more is asked
        self._reached = False  # whether anything has ever answered at the address

    def __enter__(self) -> Llm:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __repr__(self) -> str:
        return f"Llm({self.model!r} at {self.base_url!r})"

    def ask(self, prompt: str, item: str = "") -> Reply:
        """From the cache, or from the server. What gets no answer is not cached: the next run asks again.

        `item` sets questions of the same words apart, so that each gets an answer of its own. Raises Unusable, Stopped.
        """
        asked = {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "options": self.options,
            "item": item,
            "prompt": prompt,
        }
        if (known := self.cache.get(asked)) is not None:
            return replace(Reply(**{**known, "outcome": Outcome(known["outcome"])}), cached=True)
        attempts = self._tenacity.Retrying(
            retry=self._tenacity.retry_if_exception_type(_PassingFault),
            stop=self._tenacity.stop_after_attempt(self.max_retries + 1),
            wait=self._seconds_to_wait,
            sleep=self.pace.sleep,
            reraise=True,
        )
        try:
            reply = attempts(self._request, prompt)
        except _PassingFault as fault:
            if not self._reached:
                self.pace.stop()
                raise Unusable(f"{fault}; start a server there, or mend the address (writer.base_url)") from None
            return Reply(Outcome.FAILED, reason=f"{fault} (attempts: {self.max_retries + 1})")
        except Unusable:
            self.pace.stop()  # here, as other threads would go on until somebody hears of it
            raise
        self.cache.put(asked, reply.to_json())
        return reply

    def cost(self, reply: Reply) -> float | None:
        """In the currency of the prices; None where they or the tokens are unknown."""
        tokens = (reply.input_tokens, reply.output_tokens)
        parts = [
            None if n is None or price is None else n * price for n, price in zip(tokens, self.prices, strict=True)
        ]
        return None if None in parts else sum(part for part in parts if part is not None) / 1e6

    def _request(self, prompt: str) -> Reply:
        self.pace.wait()
        temperature = {} if self.temperature is None else {"temperature": self.temperature}
        try:
            answer = self._client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt}],
                extra_body=self.options or None,
                **temperature,
            )
            self._reached = True
            return read_reply(self._redact(answer.http_response.text))
        except self._errors.APITimeoutError:
            self._reached = True
            raise _PassingFault(f"no answer within {self.timeout:g} s (writer.timeout)") from None
        except self._errors.APIConnectionError as error:
            kind = type(error.__cause__ or error).__name__
            raise _PassingFault(f"no connection to {self.base_url} ({kind})") from None
        except BrokenReply as error:
            raise _PassingFault(str(error)) from None
        except self._errors.APIStatusError as error:
            self._reached = True
            return self._after_status(error)

    def _after_status(self, error: Any) -> Reply:
        """A refusal, where the status says that; else raises _PassingFault or Unusable."""
        status, code = error.status_code, getattr(error, "code", None)
        said = re.sub(r"^Error code: \d+ - ", "", self._redact(" ".join(str(error.message).split())))[:300]
        if status == 400 and code in FILTERED:
            return Reply(Outcome.REFUSED, reason="the prompt is stopped by the provider's content filter")
        if status == 402 or code in NO_CREDIT:
            raise Unusable(f"no credit is left at {self.base_url} ({status}: {said}); top it up, then run again")
        if status in PASSING_STATUS or status >= 500:
            wait = retry_after(error.response.headers)
            if wait is not None and wait > MAX_WAIT:
                raise Unusable(f"{self.base_url} asks to wait {wait:.0f} s ({status}: {said}); run again after that")
            if status == 429 and wait is not None:
                self.pace.hold(wait)
            raise _PassingFault(f"{status}: {said}", wait)
        raise Unusable(self._remedy(status, said)) from None

    def _remedy(self, status: int, said: str) -> str:
        if status == 401:
            return f"{self.base_url} refuses the key (401); set {self.key_variable} to a valid one in the environment"
        if status == 403:
            return (
                f"the key in {self.key_variable} may not use model '{self.model}' at {self.base_url} (403: {said}); "
                f"choose another model (writer.model) or key"
            )
        if status == 404:
            return f"no model '{self.model}' at {self.base_url} (404: {said}); mend writer.model or writer.base_url"
        return (
            f"{self.base_url} refuses the request ({status}: {said}); "
            f"mend writer.model, writer.temperature or writer.options"
        )

    def _seconds_to_wait(self, state: Any) -> float:
        """Doubling from `backoff`, with jitter so that threads part; longer where the server says so."""
        doubling = self._tenacity.wait_exponential(multiplier=self.backoff, max=MAX_BACKOFF)
        own = (doubling + self._tenacity.wait_random(0, self.backoff))(state)
        return max(own, state.outcome.exception().wait or 0.0)


def ask_all(llm: Llm, questions: Sequence[tuple[str, str]], num_parallel: int) -> Iterator[tuple[int, Reply]]:
    """(number of the question, its reply) for each (prompt, item), as they come in.

    Where MAX_FAILED_IN_ROW items fail with none between that does not, no more are asked: they end as failed too, and
    `llm.given_up` says why. Raises Unusable. On an error, or when the caller stops, no further request is sent; those
    under way are waited for, as they are paid for.
    """
    failed = 0
    executor = ThreadPoolExecutor(num_parallel, thread_name_prefix="llm")
    futures = {executor.submit(llm.ask, prompt, item): number for number, (prompt, item) in enumerate(questions)}
    try:
        for future in as_completed(futures):
            try:
                reply = future.result()
            except Stopped:
                if llm.given_up is None:
                    continue  # another item will say why
                reply = Reply(Outcome.FAILED, reason=f"not asked: {llm.given_up}")
            failed = failed + 1 if reply.outcome is Outcome.FAILED else 0
            if failed == MAX_FAILED_IN_ROW and llm.given_up is None:
                llm.given_up = f"{failed} items in a row failed, the last with: {reply.reason}"
                llm.pace.stop()
            llm.num_cached += reply.cached
            llm.spent += 0.0 if reply.cached else llm.cost(reply) or 0.0
            yield futures[future], reply
    except BaseException:
        llm.pace.stop()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


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


def _libraries() -> tuple[Any, Any]:
    try:
        import openai
        import tenacity
    except ImportError:
        raise ValueError("openai and tenacity, which ask an LLM, are not installed: uv sync --extra llm") from None
    return openai, tenacity


def _key(variable: str, required: bool) -> str:
    key = os.environ.get(variable, "").strip()
    if not key and required:
        raise ValueError(f"no key for the API; set {variable} in the environment (writer.key_variable names another)")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError(f"the key in {variable} holds a space or a character that no key has; set it again")
    return key or NO_KEY


def _redactor(key: str) -> Any:
    """Strikes the key out of a text."""
    return (lambda text: text.replace(key, "***")) if len(key) >= MIN_SECRET else (lambda text: text)
