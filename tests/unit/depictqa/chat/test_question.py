"""Pictures on their way to a server, and what a question is known by."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from depictqa.chat.budget import Budget
from depictqa.chat.cache import ReplyCache
from depictqa.chat.llm import Llm, ask_all
from depictqa.chat.pace import Stopped
from depictqa.chat.question import Question, digest
from depictqa.chat.replies import Outcome, Reply, read_reply
from depictqa.testing import random_image

PICTURES = [("Reference Image:", random_image((40, 30), 1)), ("", random_image((20, 50), 2))]


def decoded(part: dict) -> Image.Image:
    start, data = part["image_url"]["url"].split(",")
    assert start == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_each_picture_stands_behind_its_name_and_keeps_its_pixels() -> None:
    (message,) = Question("Which?", pictures=PICTURES).messages()
    kinds = [part["type"] for part in message["content"]]
    assert kinds == ["text", "image_url", "image_url", "text"]
    assert [part["text"] for part in message["content"] if "text" in part] == ["Reference Image:", "Which?"]
    for part, (_, image) in zip(message["content"][1:3], PICTURES, strict=True):
        assert np.array_equal(np.asarray(decoded(part)), np.asarray(image))
    (message,) = Question("Which?", pictures=PICTURES).messages("high")
    assert message["content"][1]["image_url"]["detail"] == "high"


def test_earlier_turns_come_before_and_the_pictures_first_of_all() -> None:
    sent = Question("And now?", pictures=PICTURES[:1], history=[("What?", "Blur.")]).messages()
    assert [one["role"] for one in sent] == ["user", "assistant", "user"]
    assert sent[0]["content"][-1] == {"type": "text", "text": "What?"}
    assert [one["content"] for one in sent[1:]] == ["Blur.", "And now?"]


def test_a_question_is_known_by_pixels_and_without_pictures_as_before() -> None:
    assert Question("p", "i").identity() == {"prompt": "p", "item": "i"}
    image = PICTURES[0][1]
    assert digest(image) == digest(image.convert("RGBA").convert("RGB")) != digest(PICTURES[1][1])
    flat = Image.new("RGB", (2, 3)), Image.new("RGB", (3, 2))
    assert digest(flat[0]) != digest(flat[1])
    names = [Question("p", pictures=[(name, image)]).identity() for name in ("Image A:", "Image B:")]
    assert names[0] != names[1]


def test_pictures_are_asked_about_once_and_the_cache_does_not_hold_them(api, tmp_path) -> None:
    with Llm("m", ReplyCache(tmp_path), base_url=api.url) as llm:
        replies = [llm.ask("Which?", pictures=PICTURES), llm.ask("Which?", pictures=PICTURES)]
        assert [reply.cached for reply in replies] == [False, True] and replies[0].date == replies[1].date
        assert not llm.ask("Which?", pictures=PICTURES[::-1]).cached
        assert not llm.ask("Which?", pictures=PICTURES, history=[("a", "b")]).cached
    assert len(api.sent) == 3
    for path in tmp_path.rglob("*.json"):
        assert len(path.read_text()) < 1000 and "base64" not in path.read_text()


def priced(api, folder, **settings) -> Llm:
    """A reply costs 100 * 1 + 20 * 10 = 300 millionths."""
    settings = {"input_price": 1.0, "output_price": 10.0, "max_retries": 1, "backoff": 0.01, **settings}
    return Llm("m", ReplyCache(folder), base_url=api.url, group="judge", **settings)


def test_a_cost_cap_holds_over_threads_and_what_was_paid_is_kept(api, make, tmp_path) -> None:
    api.script = lambda item, attempt: make.Answer(body=make.message("Fine.").body, delay=0.01)
    questions = [(f"item {number}", "") for number in range(60)]
    with priced(api, tmp_path, max_cost=20 * 300e-6) as llm:
        first = [reply for _, reply in ask_all(llm, questions, num_parallel=4)]
        paid = sum(reply.asked for reply in first)
        assert 20 <= paid == len(api.starts) <= 23
        assert llm.spent == pytest.approx(paid * 300e-6)
        assert re.fullmatch(r"0\.006\d* is spent, of at most 0\.006 \(judge\.max_cost\)", llm.given_up)
    assert {reply.reason for reply in first if not reply.asked} == {f"not asked: {llm.given_up}"}
    with priced(api, tmp_path, max_cost=1.0) as llm:
        again = [reply for _, reply in ask_all(llm, questions, num_parallel=4)]
    assert llm.given_up is None and all(reply.outcome is Outcome.WRITTEN for reply in again)
    assert (llm.num_cached, len(api.starts), max(api.attempts.values())) == (paid, 60, 1)


def test_a_cap_that_is_reached_by_the_last_answer_is_no_failure_and_0_asks_nothing(api, tmp_path) -> None:
    with priced(api, tmp_path, max_cost=300e-6) as llm:
        assert llm.ask("a").text == "Fine." and llm.given_up is None
    with priced(api, tmp_path, max_cost=0) as llm:
        assert llm.ask("a").cached
        with pytest.raises(Stopped):
            llm.ask("b")
    assert len(api.starts) == 1


def test_a_cap_needs_prices_and_a_server_that_counts(api, make, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"give judge.input_price and judge.output_price .*\(judge.max_cost\)"):
        priced(api, tmp_path, max_cost=1, output_price=None)
    with pytest.raises(ValueError, match=r"a cost cap of -1; give 0 or more"):
        Budget(1, 1, -1, "judge")
    api.script = lambda item, attempt: make.message("Fine.", counts_tokens=False)
    with priced(api, tmp_path, max_cost=1) as llm, pytest.raises(ValueError, match="does not count tokens, so that no"):
        llm.ask("a")
    assert len(list(tmp_path.rglob("*.json"))) == 1  # it is paid for all the same


def test_options_are_named_as_the_one_who_asks_calls_them(api, make, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"\(baseline.api.model=NAME\)"):
        Llm("", ReplyCache(tmp_path), base_url=api.url, group="baseline.api")
    api.script = lambda item, attempt: make.failure(404, "unknown")
    with (
        priced(api, tmp_path) as llm,
        pytest.raises(ValueError, match=r"mend judge.model or judge.base_url"),
    ):
        llm.ask("a")
    assert read_reply(make.message("The", finish="length").body, "judge").reason.endswith("(judge.options)")


def test_a_text_that_is_cut_off_may_count_and_log_probabilities_are_read(make) -> None:
    cut = read_reply(make.message("The image", finish="length").body, keeps_cut_off=True)
    assert (cut.outcome, cut.text, cut.reason) == (Outcome.WRITTEN, "The image", None)
    assert read_reply(make.message("", finish="length").body, keeps_cut_off=True).outcome is Outcome.EMPTY
    sure = read_reply(make.message("B", logprobs=[0.0, float(np.log(0.5))]).body)
    assert sure.mean_probability == pytest.approx(0.75)
    assert Reply(**json.loads(json.dumps(sure.to_json()))) == sure
    body = json.loads(make.message("B").body)
    for broken in ({"content": []}, {"content": [{"token": "x"}]}, {"content": [{"logprob": 1.0}]}, "yes", None):
        body["choices"][0]["logprobs"] = broken
        assert read_reply(json.dumps(body)).mean_probability is None
