"""An LLM behind the chat-completions API: asked in parallel at a steady pace, and for nothing twice.

What may pass (too many requests, a server's fault, a time-out, a cut connection, a broken body) is tried again with
exponential back-off; what will not (a wrong key, model or address, no credit) stops the run with one line. The key
comes from the environment and is passed to the client, nowhere else; what a server says of it is struck out.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from depictqa.chat.budget import Budget
from depictqa.chat.cache import ReplyCache
from depictqa.chat.key import read_key, redactor
from depictqa.chat.pace import Pace, Stopped, retry_after
from depictqa.chat.question import Picture, Question
from depictqa.chat.replies import BrokenReply, Outcome, Reply, read_reply

KEY_VARIABLE = "OPENAI_API_KEY"
MAX_BACKOFF = 60.0  # seconds between two attempts that we choose ourselves
MAX_WAIT = 300.0  # seconds that a server may ask us to wait; beyond, the run stops
MAX_FAILED_IN_ROW = 20  # items, after which nothing more is to be expected
PASSING_STATUS = (408, 409, 425, 429)  # and all from 500
OF_ONE_QUESTION = (400, 413, 422)  # once others are answered, or where a picture may be to blame
NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")
FILTERED = ("content_filter", "content_policy_violation")


class Unusable(ValueError):
    """The API will not answer however often it is asked: one line that names the fix."""


class _PassingFault(Exception):
    """Worth another attempt, after `wait` seconds where the server says so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _NoAnswer(Exception):
    """This question will get none, others may."""


class Llm:
    """A model at `base_url` (None: OpenAI, or OPENAI_BASE_URL). Close it, or use it in a `with`.

    `temperature` None leaves it to the server; `timeout` and `backoff` (before the second attempt) are in seconds;
    prices are per million tokens; `options` are further fields of the request, such as a limit of tokens; `group` is
    what messages call the options. Once the run has paid `max_cost` no further request starts, and `given_up` says so;
    those under way are finished, so that it may be exceeded by as many answers. `detail` is how closely pictures are
    looked at, `keeps_cut_off` whether a text that was cut off counts as written.
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
        max_cost: float | None = None,
        options: Mapping[str, Any] | None = None,
        detail: str | None = None,
        keeps_cut_off: bool = False,
        group: str = "writer",
    ) -> None:
        if not model:
            raise ValueError(f"no model to ask; give the name that the server knows it by ({group}.model=NAME)")
        if base_url is not None and not re.match(r"https?://[^/\s]+", base_url):
            raise ValueError(f"'{base_url}' is no address; give http://HOST:PORT/v1 or https://... ({group}.base_url)")
        if not timeout > 0:
            raise ValueError(f"{timeout:g} seconds to wait for an answer; give a positive number ({group}.timeout)")
        if not isinstance(options or {}, Mapping):
            raise ValueError(f"options {options!r} are no fields of a request; give {{NAME: VALUE}} ({group}.options)")
        openai, self._tenacity = _libraries()
        self._errors = openai
        self.budget = Budget(input_price, output_price, max_cost, group)
        key = read_key(key_variable, base_url is None, group)
        self._client = openai.OpenAI(api_key=key, base_url=base_url, timeout=timeout, max_retries=0)
        self._redact = redactor(key)
        self.model, self.key_variable, self.cache = model, key_variable, cache
        self.base_url = str(self._client.base_url)
        self.temperature, self.options = temperature, dict(options or {})
        self.timeout, self.max_retries, self.backoff = timeout, max_retries, backoff
        self.detail, self.keeps_cut_off, self.group = detail, keeps_cut_off, group
        self.pace = Pace(requests_per_minute)
        self.num_cached = 0  # replies that were there already
        self.given_up: str | None = None  # why no more is asked
        self._failed_in_row = 0
        self._lock = threading.Lock()
        self._reached = False  # whether anything has ever answered at the address
        self._answered = False  # whether a question has been

    def __enter__(self) -> Llm:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __repr__(self) -> str:
        return f"Llm({self.model!r} at {self.base_url!r})"

    @property
    def spent(self) -> float:
        """What the replies that were not there already have cost, as far as that is known."""
        return self.budget.spent

    @property
    def prices(self) -> tuple[float | None, float | None]:
        return self.budget.prices

    def cost(self, reply: Reply) -> float | None:
        """In the currency of the prices; None where they or the tokens are unknown."""
        return self.budget.cost(reply)

    def ask(
        self,
        prompt: str,
        item: str = "",
        pictures: Sequence[Picture] = (),
        history: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """A `Question`'s reply, from the cache, or from the server. What gets no answer is not cached: the next run
        asks again. Raises Unusable, and Stopped where no more is asked.
        """
        question = Question(prompt, item, pictures, history)
        asked = {
            "base_url": self.base_url,
            "model": self.model,
            "temperature": self.temperature,
            "options": self.options,
            **({"detail": self.detail} if self.detail and pictures else {}),
            **question.identity(),
        }
        if (known := self.cache.get(asked)) is not None:
            return self._counted(replace(Reply(**{**known, "outcome": Outcome(known["outcome"])}), cached=True))
        try:
            reply = replace(self._attempts()(self._request, question), date=datetime.now(UTC).date().isoformat())
            self.cache.put(asked, reply.to_json())
            self.budget.pay(reply)
            if not self.budget.can_be_kept(reply):
                raise Unusable(f"{self.base_url} does not count tokens, so that no cost cap can be kept; "
                               f"leave it out ({self.group}.max_cost)")  # fmt: skip
        except _NoAnswer as fault:
            reply = Reply(Outcome.FAILED, reason=str(fault))
        except _PassingFault as fault:
            if not self._reached:
                self.pace.stop()
                raise Unusable(f"{fault}; start a server there, or mend the address ({self.group}.base_url)") from None
            reply = Reply(Outcome.FAILED, reason=f"{fault} (attempts: {self.max_retries + 1})")
        except Unusable:
            self.pace.stop()  # here, as other threads would go on until somebody hears of it
            raise
        return self._counted(reply)

    def _attempts(self) -> Any:
        return self._tenacity.Retrying(
            retry=self._tenacity.retry_if_exception_type(_PassingFault),
            stop=self._tenacity.stop_after_attempt(self.max_retries + 1),
            wait=self._seconds_to_wait,
            sleep=self.pace.sleep,
            reraise=True,
        )

    def _counted(self, reply: Reply) -> Reply:
        with self._lock:
            self.num_cached += reply.cached
            self._failed_in_row = self._failed_in_row + 1 if reply.outcome is Outcome.FAILED else 0
            hopeless = self._failed_in_row == MAX_FAILED_IN_ROW
        if hopeless:
            self._give_up(f"{MAX_FAILED_IN_ROW} items in a row failed, the last with: {reply.reason}")
        return reply

    def _give_up(self, why: str) -> None:
        with self._lock:
            self.given_up = self.given_up or why
        self.pace.stop()

    def _request(self, question: Question) -> Reply:
        self.pace.wait()
        if (why := self.budget.used_up()) is not None:
            self._give_up(why)
            raise Stopped
        temperature = {} if self.temperature is None else {"temperature": self.temperature}
        try:
            answer = self._client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=question.messages(self.detail),
                extra_body=self.options or None,
                **temperature,
            )
            self._reached = True
            reply = read_reply(self._redact(answer.http_response.text), self.group, self.keeps_cut_off)
            self._answered = True
            return reply
        except self._errors.APITimeoutError:
            self._reached = True
            raise _PassingFault(f"no answer within {self.timeout:g} s ({self.group}.timeout)") from None
        except self._errors.APIConnectionError as error:
            kind = type(error.__cause__ or error).__name__
            raise _PassingFault(f"no connection to {self.base_url} ({kind})") from None
        except BrokenReply as error:
            raise _PassingFault(str(error)) from None
        except self._errors.APIStatusError as error:
            self._reached = True
            return self._after_status(error, bool(question.pictures))

    def _after_status(self, error: Any, with_pictures: bool) -> Reply:
        """A refusal, where the status says that; else raises _PassingFault, _NoAnswer or Unusable."""
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
        if status in OF_ONE_QUESTION and (self._answered or with_pictures):
            raise _NoAnswer(f"{self.base_url} does not take this question ({status}: {said})") from None
        raise Unusable(self._remedy(status, said)) from None

    def _remedy(self, status: int, said: str) -> str:
        if status == 401:
            return f"{self.base_url} refuses the key (401); set {self.key_variable} to a valid one in the environment"
        if status == 403:
            return (
                f"the key in {self.key_variable} may not use model '{self.model}' at {self.base_url} (403: {said}); "
                f"choose another model ({self.group}.model) or key"
            )
        if status == 404:
            return (
                f"no model '{self.model}' at {self.base_url} (404: {said}); "
                f"mend {self.group}.model or {self.group}.base_url"
            )
        return (
            f"{self.base_url} refuses the request ({status}: {said}); "
            f"mend {self.group}.model, {self.group}.temperature or {self.group}.options"
        )

    def _seconds_to_wait(self, state: Any) -> float:
        """Doubling from `backoff`, with jitter so that threads part; longer where the server says so."""
        doubling = self._tenacity.wait_exponential(multiplier=self.backoff, max=MAX_BACKOFF)
        own = (doubling + self._tenacity.wait_random(0, self.backoff))(state)
        return max(own, state.outcome.exception().wait or 0.0)


def check_parallel(num_parallel: int, group: str) -> None:
    """ValueError where `ask_all` could ask nothing."""
    if not num_parallel > 0:
        raise ValueError(f"{num_parallel} requests at a time; give at least 1 ({group}.num_parallel)")


def ask_all(
    llm: Llm, questions: Sequence[Question | tuple[str, str]], num_parallel: int
) -> Iterator[tuple[int, Reply]]:
    """(number of the question, its reply) for each of the questions, or (prompt, item) pairs, as they come in.

    Where MAX_FAILED_IN_ROW items fail with none between that does not, or the cost cap is reached, no more are asked:
    they end as failed too, not `asked`, and `llm.given_up` says why. Raises Unusable. On an error, or when the caller
    stops, no further request is sent; those under way are waited for, as they are paid for.
    """
    executor = ThreadPoolExecutor(num_parallel, thread_name_prefix="llm")
    futures = {executor.submit(llm.ask, *question): number for number, question in enumerate(questions)}
    try:
        for future in as_completed(futures):
            try:
                reply = future.result()
            except Stopped:
                if llm.given_up is None:
                    continue  # another item will say why
                reply = Reply(Outcome.FAILED, reason=f"not asked: {llm.given_up}", asked=False)
            yield futures[future], reply
    except BaseException:
        llm.pace.stop()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _libraries() -> tuple[Any, Any]:
    try:
        import openai
        import tenacity
    except ImportError:
        raise ValueError("openai and tenacity, which ask an LLM, are not installed: uv sync --extra llm") from None
    return openai, tenacity
