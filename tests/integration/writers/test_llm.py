"""Texts from an API that fails in every way it can: all items end exactly once, and nothing is paid for twice."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from datamodules.writers.drafts import items_of, write_by_llm
from depictqa.chat.cache import ReplyCache
from depictqa.chat.llm import MAX_FAILED_IN_ROW, Llm, Unusable, ask_all
from depictqa.chat.replies import Outcome

PROMPTS = {"description": "{questionnaire}\n{question}", "reasoning": "{questionnaire}\n{question}"}
NUM_ITEMS = 200
EVERY = 20  # items, after which the script begins anew
TIMEOUT = 0.6  # seconds; a busy machine answers the others in less


def open_llm(api, folder, **changed):
    settings = {"base_url": api.url, "timeout": 10.0, "max_retries": 3, "backoff": 0.01, **changed}
    return Llm("writer", ReplyCache(folder / "replies"), **settings)


def script(make, texts):
    """How item after item is answered: (answers before the last, the last one, outcome)."""
    good = None  # the text that is true
    late = make.Answer(delay=2 * TIMEOUT)
    broken = make.message("cut")
    steps = [
        ([make.failure(429)], good),
        ([make.failure(429, retry_after="0.1"), make.failure(429, retry_after_ms="50")], good),
        ([make.failure(500)], good),
        ([make.failure(503), make.failure(503)], good),
        ([late], good),
        ([make.Answer(drop="before")], good),
        ([make.Answer(body=broken.body, drop="within")], good),
        ([make.Answer(body=broken.body[:40])], good),
        ([make.Answer(body="<html>busy</html>", headers={"Content-Type": "text/html"})], good),
        ([make.Answer(body='{"choices": []}')], good),
        ([], make.message("")),
        ([], make.message(None, refusal="I will not say.")),
        ([], make.message("I'm sorry, but I can't assist with that.")),
        ([], make.message("The", finish="content_filter")),
        ([], make.failure(400, code="content_filter")),
        ([], make.message("The image is", finish="length")),
        ([make.failure(500)] * 9, good),
        ([], good),
        ([], good),
        ([], make.message("The image is fine.")),
    ]
    assert len(steps) == EVERY

    def answer(item, attempt):
        number = int(item.split()[1])
        before, last = steps[number % EVERY]
        if number == NUM_ITEMS - 3:  # never in time
            return late
        return before[attempt - 1] if attempt <= len(before) else last or make.message(texts[number])

    return answer


EXPECTED = {"written": 130 - 1, "refused": 40, "empty": 10, "failed": 20 + 1}


def test_every_item_ends_once_and_a_rerun_asks_only_for_what_failed(api, make, annotations, true_text, tmp_path):
    made = annotations(NUM_ITEMS)
    items = items_of(made, seed=0)
    api.script = script(make, [true_text(annotation) for annotation in made])
    with open_llm(api, tmp_path, timeout=TIMEOUT, input_price=1.0, output_price=10.0, temperature=0.7) as llm:
        drafts = list(write_by_llm(items, llm, PROMPTS, num_parallel=16))
    assert sorted(draft.identity for draft in drafts) == [item.identity for item in items]  # each once, none lost
    tally = Counter(draft.outcome for draft in drafts)
    requests = sum(api.attempts.values())
    print(f"\n{NUM_ITEMS} items, {requests} requests: {', '.join(f'{tally[one]} {one}' for one in Outcome)}")
    assert tally == EXPECTED
    by_key = {draft.key: draft for draft in drafts}
    for draft in drafts:
        number = int(draft.key)
        assert (draft.reason is None) == (draft.outcome is Outcome.WRITTEN)
        if draft.outcome is Outcome.WRITTEN:
            assert (draft.model, draft.temperature) == ("writer-2026-01", 0.7)
            assert (draft.input_tokens, draft.output_tokens) == (100, 20)
            assert draft.cost == pytest.approx((100 * 1.0 + 20 * 10.0) / 1e6)
            wrong = number % EVERY == EVERY - 1
            assert bool(draft.problems) == wrong, draft
    assert by_key["000016"].reason == "500: scripted (attempts: 4)"
    assert by_key["000197"].reason == "no answer within 0.6 s (writer.timeout) (attempts: 4)"
    assert api.attempts["item 16"] == api.attempts["item 197"] == 4

    api.forget()
    api.script = lambda item, attempt: make.message(true_text(made[int(item.split()[1])]))
    with open_llm(api, tmp_path, timeout=TIMEOUT, input_price=1.0, output_price=10.0, temperature=0.7) as llm:
        again = {draft.key: draft for draft in write_by_llm(items, llm, PROMPTS, num_parallel=16)}
        assert (llm.num_cached, llm.spent) == (NUM_ITEMS - 11, pytest.approx(11 * 300e-6))
    asked = {int(item.split()[1]) for item in api.attempts}
    print(f"again: {sum(api.attempts.values())} requests, for the {len(asked)} items that had no answer")
    assert asked == {number for number in range(NUM_ITEMS) if number % EVERY == 16} | {NUM_ITEMS - 3}
    for key, draft in by_key.items():
        assert again[key] == draft if int(key) not in asked else again[key].outcome is Outcome.WRITTEN
    assert api.keys == {f"Bearer {make.KEY}"}


def test_another_model_temperature_or_prompt_is_asked_anew_and_like_items_get_texts_of_their_own(api, tmp_path):
    with open_llm(api, tmp_path) as llm:
        assert not llm.ask("a", "1").cached and llm.ask("a", "1").cached
        assert not llm.ask("a", "2").cached and not llm.ask("b", "1").cached
    for changed in ({"temperature": 0.5}, {"options": {"max_tokens": 9}}):
        with open_llm(api, tmp_path, **changed) as llm:
            assert not llm.ask("a", "1").cached
    assert [sent.keys() - {"model", "messages"} for sent in api.sent] == [set()] * 3 + [{"temperature"}, {"max_tokens"}]


def test_the_server_is_heard_on_when_to_come_back(api, make, tmp_path):
    api.script = lambda item, attempt: make.failure(429, retry_after="1") if attempt == 1 else make.message("Fine.")
    with open_llm(api, tmp_path) as llm:
        assert llm.ask("item 1").outcome is Outcome.WRITTEN
    assert 1.0 <= api.starts[1] - api.starts[0] < 5.0
    api.script = lambda item, attempt: make.failure(429, retry_after="86400")
    with open_llm(api, tmp_path) as llm, pytest.raises(Unusable, match="asks to wait 86400 s .* run again after that"):
        llm.ask("item 2")
    assert api.attempts["item 2"] == 1


def test_the_rate_limit_holds_over_threads_and_retries(api, make, tmp_path):
    api.script = lambda item, attempt: make.failure(500) if attempt == 1 else make.message("Fine.")
    with open_llm(api, tmp_path, requests_per_minute=1500) as llm:
        begin = time.monotonic()
        replies = list(ask_all(llm, [(f"item {number}", "") for number in range(15)], num_parallel=8))
        seconds = time.monotonic() - begin
    assert len(replies) == 15 and len(api.starts) == 30
    print(f"\n30 requests at 1500 a minute in {seconds:.2f} s")
    assert seconds >= 29 * 60 / 1500
    starts = sorted(api.starts)
    late = 0.2  # seconds by which a busy machine may bring some requests together
    assert all(starts[i + 10] - starts[i] >= 10 * 60 / 1500 - late for i in range(20))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            (400, "no such field"),
            r"refuses the request \(400: .*no such field.*mend writer.model, writer.temperature or",
        ),
        ((401, "bad key"), r"refuses the key \(401\); set OPENAI_API_KEY to a valid one in the environment$"),
        ((403, "not you"), r"the key in OPENAI_API_KEY may not use model 'writer' .*not you"),
        ((404, "unknown"), r"no model 'writer' at http.*mend writer.model or writer.base_url"),
        ((402, "pay"), r"no credit is left .* top it up, then run again"),
        ((429, "used up", "insufficient_quota"), r"no credit is left"),
    ],
)
def test_what_will_not_pass_stops_all_at_once(api, make, tmp_path, answer, message):
    api.script = lambda item, attempt: make.failure(*answer)
    with open_llm(api, tmp_path, requests_per_minute=600) as llm:
        begin = time.monotonic()
        with pytest.raises(Unusable, match=message) as caught:
            list(ask_all(llm, [(f"item {number}", "") for number in range(100)], num_parallel=4))
    assert len(api.starts) <= 4
    assert time.monotonic() - begin < 5.0
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.json"))


def test_a_server_that_only_fails_is_given_up_and_all_items_still_end(api, make, tmp_path):
    api.script = lambda item, attempt: make.message("Fine.") if item == "item 0" else make.failure(503, "down")
    with open_llm(api, tmp_path, max_retries=0) as llm:
        questions = [(f"item {number}", "") for number in range(500)]
        replies = dict(ask_all(llm, questions, num_parallel=4))
    assert sorted(replies) == list(range(500))
    assert Counter(reply.outcome for reply in replies.values()) == {"written": 1, "failed": 499}
    assert llm.given_up == f"{MAX_FAILED_IN_ROW} items in a row failed, the last with: 503: down (attempts: 1)"
    assert replies[499].reason == f"not asked: {llm.given_up}"
    assert len(api.starts) < 100


def test_an_address_where_nothing_answers_is_named(tmp_path):
    llm = Llm("writer", ReplyCache(tmp_path), base_url="http://127.0.0.1:9/v1", max_retries=1, backoff=0.01)
    with llm, pytest.raises(Unusable, match=r"no connection to http://127.0.0.1:9/v1/ .*mend the address"):
        llm.ask("a")


def test_a_server_of_ones_own_needs_no_key(api, monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY")
    with open_llm(api, tmp_path) as llm:
        assert llm.ask("a").text == "Fine."
    assert api.keys == {"Bearer none"}


def test_the_key_of_another_variable_is_sent(api, monkeypatch, tmp_path):
    monkeypatch.setenv("OTHER_KEY", "other-key-0123")
    with open_llm(api, tmp_path, key_variable="OTHER_KEY") as llm:
        llm.ask("a")
    assert api.keys == {"Bearer other-key-0123"}


def test_a_key_that_the_server_repeats_is_struck_out(api, make, tmp_path):
    answers = {"item 1": make.failure(500, f"you sent {make.KEY}"), "item 2": make.message(f"Your key is {make.KEY}.")}
    api.script = lambda item, attempt: answers.get(item) or make.failure(400, f"bad {make.KEY}")
    with open_llm(api, tmp_path, max_retries=1) as llm:
        assert "you sent ***" in (llm.ask("item 1").reason or "")
        assert llm.ask("item 2").text == "Your key is ***."
        assert "does not take this question (400: bad ***)" in (llm.ask("item 3").reason or "")
        assert make.KEY not in repr(llm)
    assert not [path for path in tmp_path.rglob("*.json") if make.KEY in path.read_text()]
