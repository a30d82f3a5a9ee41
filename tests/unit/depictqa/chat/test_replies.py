"""An API's answer is a text, a refusal, empty or broken; what it says is kept on disk whole."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from depictqa.chat.cache import ReplyCache, write_whole
from depictqa.chat.pace import Pace, Stopped, retry_after
from depictqa.chat.replies import BrokenReply, Outcome, Reply, read_reply


def body(content: object, finish: str = "stop", **more: object) -> str:
    message = {"role": "assistant", "content": content, **more}
    return json.dumps({"model": "m-1", "choices": [{"message": message, "finish_reason": finish}]})


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("The image is blurred.", "written"),
        ("I cannot see any distortion in this image.", "written"),
        ("Image A is sorry to look at.", "written"),
        ("", "empty"),
        (" \n", "empty"),
        (None, "empty"),
        ("Sorry, I can't do that.", "refused"),
        ("I'm sorry, but I cannot help.", "refused"),
        ("I’m really sorry.", "refused"),
        ("I am unable to view images.", "refused"),
        ("I can't assist with that.", "refused"),
        ("As an AI, I cannot see images.", "refused"),
    ],
)
def test_texts_are_told_from_refusals(text: str | None, outcome: str) -> None:
    reply = read_reply(body(text))
    assert reply.outcome == outcome
    assert (reply.reason is None) == (outcome == "written")
    assert (reply.model, reply.input_tokens) == ("m-1", None)


def test_what_the_server_says_of_itself_counts() -> None:
    assert read_reply(body("x", refusal="no")) == Reply(Outcome.REFUSED, "x", "no", "m-1")
    assert read_reply(body("x", "content_filter")).outcome is Outcome.REFUSED
    assert read_reply(body("The image", "length")).outcome is Outcome.FAILED
    assert read_reply(body("", "length")).reason == "the answer is empty: cut off at the limit of tokens"


@pytest.mark.parametrize(
    "broken",
    ["", "busy", "{", "[]", "{}", '"x"', "null", '{"choices": []}', '{"choices": [{}]}',
     '{"choices": [{"message": 1}]}', body([1]), body("x", refusal=3)],
)  # fmt: skip
def test_what_is_no_answer_is_broken(broken: str) -> None:
    with pytest.raises(BrokenReply, match="the answer is broken"):
        read_reply(broken)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_the_cache_gives_back_what_was_put_and_nothing_else(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "replies")
    asked, reply = {"prompt": "é", "temperature": 0.5}, {"text": "ü"}
    assert cache.get(asked) is None
    cache.put(asked, reply)
    assert cache.get({"temperature": 0.5, "prompt": "é"}) == reply
    assert cache.get({**asked, "temperature": 0.6}) is None
    (path,) = tmp_path.rglob("*.json")
    assert json.loads(path.read_text()) == {"asked": asked, "reply": reply}
    for damaged in ("", path.read_text()[:-5], "[]", '{"asked": {}, "reply": {}}'):
        path.write_text(damaged)
        assert cache.get(asked) is None


def test_threads_write_the_same_file_whole(tmp_path: Path) -> None:
    texts = [str(number) * 10_000 for number in range(8)]
    threads = [threading.Thread(target=write_whole, args=(tmp_path / "x", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "x").read_text() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_pace_that_is_stopped_lets_nobody_start() -> None:
    pace = Pace(1.0)
    pace.wait()
    ended = []

    def wait() -> None:
        try:
            pace.wait()
        except Stopped:
            ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    pace.stop()
    thread.join(timeout=10)
    assert ended == [True]
    with pytest.raises(ValueError, match="0 requests a minute; give a positive number"):
        Pace(0)
