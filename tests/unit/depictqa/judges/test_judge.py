"""A judge on a server of this machine: what it is asked, how its grades count, and what stays in the results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from depictqa.chat.cache import ReplyCache
from depictqa.chat.llm import Llm
from depictqa.evaluation.judgements import judge_figures, judges_of, said_by
from depictqa.evaluation.result import Result
from depictqa.evaluation.score import score
from depictqa.judges.judge import NO_TEXT, Judge, is_judged
from depictqa.judges.protocols import Consistency, Relative, context
from depictqa.sample import Task

RELATIVE = "{context}|{question}|{first}|{second}"
CONSISTENCY = "{question}|{target}|{prediction}"
FORM = {"brightness": "undistorted", "color": "undistorted", "noise": "severe", "artifacts": "undistorted",
        "blur": "mild", "overall": "severe"}  # fmt: skip


def result(number: int, **changed) -> Result:
    fields = {"task": Task.DESCRIPTION, "benchmark": "description", "model": "depictqa", "full_reference": True}
    fields |= {"question": "<image>\nDescribe it.", "prediction": f"model's item {number}", "target": "person's"}
    return Result(**{"key": str(number), **fields, "truth": {"questionnaires": {"a": FORM}}, **changed})


def open_judge(api, folder, protocol=None, template=RELATIVE, swap=False, **settings) -> Judge:
    settings = {"max_retries": 1, "backoff": 0.01, "keeps_cut_off": True, **settings}
    llm = Llm("judge-model", ReplyCache(folder / "replies"), base_url=api.url, group="judge", **settings)
    return Judge(llm, protocol or Relative(), template, swap, num_parallel=4)


def judgement(one: Result, protocol: str = "relative") -> dict:
    return one.judgements[protocol]["judge-model"]


def test_what_is_asked_is_the_papers_protocol(api, make, tmp_path) -> None:
    api.script = lambda item, attempt: make.message("8 6", model="judge-2026-11")
    (one,) = open_judge(api, tmp_path, swap=True, temperature=0.0).judge([result(1)])
    prompts = sorted(sent["messages"][0]["content"] for sent in api.sent)
    about = "Image:\n- brightness and contrast: undistorted"
    assert [prompt.split("|")[1:] for prompt in prompts] == [
        ["Describe it.", "model's item 1", "person's"],
        ["Describe it.", "person's", "model's item 1"],
    ]
    assert all(prompt.startswith(about) and "- noise: severe" in prompt for prompt in prompts)
    found = judgement(one)
    assert (found["grades"], found["score"]) == ([8, 6], 0.75)
    assert (found["exchanged"]["grades"], found["exchanged"]["score"]) == ([6, 8], 1.0)
    assert found["judge"] == "judge-2026-11" and found["reply"] == "8 6" and found["reason"] is None
    assert len(found["date"]) == 10 and len(found["prompt"]) == 8
    assert Result.from_line(one.to_line()) == one


@pytest.mark.parametrize(
    ("grades", "expected"), [((8, 6), 0.75), ((6, 8), 1), ((7, 7), 1), ((0, 0), 1), ((0, 5), 1), ((5, 0), 0)]
)
def test_the_score_is_relative_to_the_persons(grades, expected) -> None:
    assert Relative().score(grades) == expected


def test_consistency_is_a_tenth_of_one_grade_and_has_no_order(api, make, tmp_path) -> None:
    api.script = lambda item, attempt: make.message("7/10\nIt misses the noise.")
    (one,) = open_judge(api, tmp_path, Consistency(), CONSISTENCY).judge([result(1)])
    assert judgement(one, "consistency")["score"] == 0.7
    assert api.sent[0]["messages"][0]["content"] == "Describe it.|person's|model's item 1"
    with pytest.raises(ValueError, match=r"grades one text: no order to exchange \(judge.swap=false\)"):
        open_judge(api, tmp_path, Consistency(), CONSISTENCY, swap=True)


def test_what_is_known_is_said_image_by_image() -> None:
    pair = {"questionnaires": {"a": FORM, "b": FORM}, "better": "b"}
    text = context(result(1, truth=pair))
    assert text.startswith("Image A:\n- ") and "\n\nImage B:\n- " in text and text.endswith("The better image: Image B")
    noise = {"distortions": {"a": [{"name": "noise", "function": "f", "severity": 4}]}}
    assert context(result(1, truth=noise)) == "Image:\n- noise, severity 4 of 5"
    assert context(result(1, truth={})) == "Nothing beyond the question."


def test_only_texts_with_a_persons_text_are_judged() -> None:
    assert is_judged(result(1)) and is_judged(result(1, task=Task.REASONING, benchmark="mine"))
    for no in ({"task": Task.COMPARISON}, {"target": " "}, {"benchmark": "loss"}, {"swap_of": "0"}):
        assert not is_judged(result(1, **no))


def test_figures_count_what_was_not_read_and_measure_the_order(api, make, tmp_path) -> None:
    said = {1: ("8 6", "6 8"), 2: ("10 5", "10 5"), 3: ("none", "4 8"), 4: ("9 9", "I'm sorry, no.")}
    asked_first = {number: f"person's|model's item {number}" for number in said}

    def answer(item, attempt):
        number = int(item.split()[1])
        in_order = asked_first[number] in api.sent[-1]["messages"][0]["content"]
        return make.message(said[number][0 if in_order else 1], model="judge-2026-11")

    api.script = answer
    judge = replace(open_judge(api, tmp_path, swap=True), num_parallel=1)
    judged = judge.judge([result(number) for number in said] + [result(5, prediction="")])
    empty = judgement(judged[4])
    assert (empty["score"], empty["reason"], empty["judge"], empty["exchanged"]) == (0, NO_TEXT, None, None)
    assert judgement(judged[2])["reason"] == "the reply states no grade"
    assert judgement(judged[3])["exchanged"]["reason"].startswith("refused: ")
    figures = judge_figures(judged)
    assert figures["judge_score"] == pytest.approx((0.75 + 0.5 + 1 + 0) / 4)
    assert figures["judge_score_low"] < figures["judge_score"] < figures["judge_score_high"]
    assert (figures["judge_n"], figures["judge_unparsed"]) == (4, 1)
    # in the other order: 6 8 is (8, 6), 10 5 is (5, 10), 4 8 is (8, 4)
    assert figures["judge_score_exchanged"] == pytest.approx((0.75 + 1 + 0.5) / 3)
    assert (figures["judge_order_n"], figures["judge_unparsed_exchanged"]) == (2, 1)
    assert figures["judge_order_bias"] == pytest.approx((0 - 0.5) / 2)
    assert figures["judge_order_agreement"] == 0.5
    assert score(judged)["judge_score"] == score(judged)["full_reference/judge_score"] == figures["judge_score"]
    said_words = said_by(judged, ("relative", "judge-model")).words
    assert said_words == f"relative by judge-2026-11 on {judgement(judged[0])['date']}"


def test_judges_and_protocols_stand_beside_each_other_and_one_that_judges_again_replaces_itself(
    api, make, tmp_path
) -> None:
    api.script = lambda item, attempt: make.message("8 4")
    judged = open_judge(api, tmp_path).judge([result(1)])
    api.script = lambda item, attempt: make.message("9")
    judged = open_judge(api, tmp_path, Consistency(), CONSISTENCY).judge(judged)
    other = Llm("another", ReplyCache(tmp_path), base_url=api.url)
    api.script = lambda item, attempt: make.message("8 8")
    judged = Judge(other, Relative(), RELATIVE).judge(judged)
    assert {name: sorted(by_judge) for name, by_judge in judged[0].judgements.items()} == {
        "relative": ["another", "judge-model"], "consistency": ["judge-model"]
    }  # fmt: skip
    assert judges_of(judged) == [("relative", "another"), ("relative", "judge-model"), ("consistency", "judge-model")]
    assert judge_figures(judged, ("consistency", "judge-model"))["judge_score"] == 0.9
    api.script = lambda item, attempt: make.message("8 2")
    (again,) = open_judge(api, tmp_path / "no_cache").judge(judged)
    assert judgement(again)["score"] == 0.25 and again.judgements["relative"]["another"]["score"] == 1
    older = replace(again, judgements={"relative": {
        "a": {**judgement(again), "date": "2026-01-01"}, "b": {**judgement(again), "date": "2026-02-01"}
    }})  # fmt: skip
    assert judges_of([older]) == [("relative", "b"), ("relative", "a")]


def test_a_cost_cap_leaves_what_was_judged_and_the_next_run_asks_for_the_rest(api, make, tmp_path) -> None:
    api.script = lambda item, attempt: make.message("8 4")
    results = [result(number) for number in range(20)]
    prices = {"input_price": 1.0, "output_price": 10.0}
    first = open_judge(api, tmp_path, max_cost=8 * 300e-6, **prices)
    some = first.judge(results)
    num = sum(bool(one.judgements) for one in some)
    assert first.llm.given_up and 8 <= num == len(api.starts) <= 11
    assert judge_figures(some)["judge_n"] == num
    told: list[int] = []
    judged = open_judge(api, tmp_path, **prices).judge(some, lambda: told.append(1))
    assert all(judgement(one)["score"] == 0.5 for one in judged)
    assert (len(told), len(api.starts)) == (20, 20)
    assert [judgement(one) for one in judged if one in some] == [judgement(one) for one in some if one.judgements]


def test_a_template_without_a_placeholder_is_named(api, tmp_path) -> None:
    judge = open_judge(api, tmp_path, template="{question} {first} {second}")
    with pytest.raises(ValueError, match=r"prompt 'relative' lacks {context}; .*\(judge.prompt\)"):
        judge.judge([result(1)])
    assert not api.starts
