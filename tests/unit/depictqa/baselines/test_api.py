"""A model behind an API as an answerer, on a server of this machine."""

from __future__ import annotations

import sys

import pytest

from depictqa.baselines.api import ApiModel
from depictqa.evaluation.answerer import Reply
from depictqa.sample import Sample, Turn
from depictqa.testing import make_sample, mixed_samples


def model(api, folder, **changed) -> ApiModel:
    settings = {"base_url": api.url, "max_retries": 2, "backoff": 0.01, "cache": folder / "replies", **changed}
    return ApiModel("vendor/eye-2", **settings)


def item(number: int) -> Sample:
    return make_sample(question=f"item {number}: which image is better?", key=str(number), seed=number)


def test_every_task_is_answered_in_the_order_of_the_samples(api, make, tmp_path) -> None:
    api.script = lambda item, attempt: make.message(item.splitlines()[-1].upper())
    samples = [sample for sample in mixed_samples()]
    one = model(api, tmp_path)
    one.check()
    assert one.name == "eye-2"
    assert one.answer(samples) == [Reply(sample.dialogue[-1].question.upper()) for sample in samples]
    assert all(sent["temperature"] == 0 and sent["model"] == "vendor/eye-2" for sent in api.sent)
    with_reference = next(sent for sent in api.sent if "Reference Image:" in str(sent["messages"]))
    kinds = [part.get("text", "picture") for part in with_reference["messages"][0]["content"]]
    assert kinds == ["Reference Image:", "picture", "Image A:", "picture", "Image B:", "picture",
                     "Which image is better?"]  # fmt: skip
    assert one.answer(samples) and len(api.sent) == len(samples)  # nothing is asked twice


def test_a_model_of_one_image_gets_one_picture_and_earlier_turns_stay(api, tmp_path) -> None:
    sample = make_sample()
    turns = (Turn("What is wrong with A?", "Blur."), Turn("<image>\nWhich is better?"))
    model(api, tmp_path, layout="side_by_side").answer([Sample("k", sample.task, sample.images, turns)])
    messages = api.sent[0]["messages"]
    assert [part["type"] for part in messages[0]["content"]] == ["text", "image_url", "text"]
    assert messages[0]["content"][0]["text"] == "From left to right: Image A, Image B."
    assert [one["content"] for one in messages[1:]] == ["Blur.", "Which is better?"]


def test_failures_to_answer_are_replies_with_the_reason(api, make, tmp_path) -> None:
    said = [
        (make.message("Image B."), "Image B.", None),
        (make.message(""), "", "empty: the answer is empty"),
        (make.message("I'm sorry, I can't help."), "I'm sorry, I can't help.", "refused: the text declines to answer"),
        (make.message(None, refusal="No."), "", "refused: No."),
        (make.message("I am unable to find a flaw in Image A, so it is better than Image B."),
         "I am unable to find a flaw in Image A, so it is better than Image B.", None),
        (make.failure(500), "", "failed: 500: scripted (attempts: 3)"),
        (make.message("Image A is better as it", finish="length"), "Image A is better as it", None),
    ]  # fmt: skip
    api.script = lambda item, attempt: said[int(item.split()[1])][0]
    replies = model(api, tmp_path).answer([item(number) for number in range(len(said))])
    assert [(reply.text, reply.reason or reply.error) for reply in replies] == [one[1:] for one in said]
    assert [number for number, reply in enumerate(replies) if reply.error] == [5]


def test_a_question_that_the_server_does_not_take_is_an_error_of_that_one(api, make, tmp_path) -> None:
    refused = make.failure(413, "picture too large")
    api.script = lambda item, attempt: refused if item.split()[1] == "1" else make.message("Image B.")
    replies = model(api, tmp_path).answer([item(number) for number in range(3)])
    assert [reply.text for reply in replies] == ["Image B.", "", "Image B."]
    assert "does not take this question (413: picture too large)" in replies[1].error
    api.script = lambda item, attempt: make.message("Image A.")
    assert [reply.text for reply in model(api, tmp_path).answer([item(1)])] == ["Image A."]  # was not kept


def test_confidence_is_what_the_server_tells_where_it_is_asked(api, make, tmp_path) -> None:
    api.script = lambda item, attempt: make.message("Image B.", logprobs=[-0.1, -0.1])
    (reply,) = model(api, tmp_path, logprobs=True, options={"max_tokens": 9}).answer([item(0)])
    assert reply.confidence == pytest.approx(0.9048, abs=1e-4)
    assert (api.sent[0]["logprobs"], api.sent[0]["max_tokens"]) == (True, 9)
    api.script = lambda item, attempt: make.message("Image B.")
    (reply,) = model(api, tmp_path, logprobs=True).answer([item(1)])
    assert reply.confidence is None


def test_a_model_that_is_given_up_stops_the_evaluation_and_its_answers_stay(api, make, tmp_path) -> None:
    samples = [item(number) for number in range(12)]
    priced = {"input_price": 1.0, "output_price": 10.0, "num_parallel": 2}
    capped = model(api, tmp_path, max_cost=4 * 300e-6, **priced)
    with pytest.raises(ValueError, match=r"^eye-2: 0.00.* is spent, of at most 0.0012 \(baseline.api.max_cost\); its"):
        capped.answer(samples)
    assert 4 <= len(api.starts) <= 5
    assert len(model(api, tmp_path, **priced).answer(samples)) == 12
    assert len(api.starts) == 12
    api.script = lambda item, attempt: make.failure(503)
    with pytest.raises(ValueError, match="eye-2: 20 items in a row failed, the last with: 503"):
        broken = model(api, tmp_path / "other", max_retries=0)
        for start in range(0, 40, 4):  # whatever the size of a call
            broken.answer([item(start + number) for number in range(4)])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"layout": "above"},
            r"baseline 'eye-2' has no layout 'above' \(baseline.api.layout\); known: interl",
        ),
        ({"num_parallel": 0}, r"0 requests at a time; give at least 1 \(baseline.api.num_parallel\)"),
        ({"base_url": "nowhere"}, r"'nowhere' is no address; .*\(baseline.api.base_url\)"),
        ({"max_cost": 1}, r"a cost cap needs prices; give baseline.api.input_price"),
        ({"key_variable": "NO_SUCH_KEY", "base_url": None}, "no key for the API; set NO_SUCH_KEY in the environment"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(api, tmp_path, changed, message) -> None:
    with pytest.raises(ValueError, match=message):
        model(api, tmp_path, **changed).check()
    assert not api.starts


def test_the_missing_client_and_model_are_named(monkeypatch, api, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"no model to ask; .*\(baseline.api.model=NAME\)"):
        ApiModel(None, base_url=api.url).check()
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ValueError, match="uv sync --extra llm"):
        model(api, tmp_path).check()
