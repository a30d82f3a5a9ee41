"""The timing of voting measures two ways that agree, and counts what is run."""

from __future__ import annotations

import json

from bench import voting


def test_a_small_run(capsys) -> None:
    import torch

    threads = torch.get_num_threads()
    given = ["--images", "4", "--layers", "2", "--vision-layers", "1", "--repeats", "2", "--train-every", "1"]
    try:
        found = voting.main(voting.arguments([*given, "--steps", "60", "--tokens-images", "12", "--json"]))
    finally:
        torch.set_num_threads(threads)
    assert json.loads(capsys.readouterr().out) == found
    timings, tokens = found["timings"], found["tokens_per_pair"]
    for timing in timings:
        assert timing["num_pairs"] == timing["answers_read"] == timing["same_decisions"] == 6
        assert len(timing["speedup"]) == 2
    assert timings[0]["answer_tokens"] > timings[1]["answer_tokens"]
    # three images of 256 tokens and some text a pair; B's 256 tokens alone, and more, where the rest is shared
    assert tokens["unshared"] > 768 > 600 > tokens["shared"] > 256


def test_the_table_names_what_was_measured(capsys) -> None:
    options = voting.arguments(["--repeats", "3"])
    timing = {
        "question": "Which?",
        "num_pairs": 36, "answers_read": 36, "answers_image_a": 20, "same_decisions": 35, "answer_tokens": 5.0,
        "voting_pairs_per_second": [40.0, 50.0, 45.0], "generating_pairs_per_second": [10.0, 10.0, 10.0],
        "speedup": [4.0, 5.0, 4.5],
    }  # fmt: skip
    tokens = {"images": 120, "shared": 303.6, "unshared": 920.0}
    voting.show({"timings": [timing], "tokens_per_pair": tokens, "tokenizer": "tokenizer x"}, options)
    said = capsys.readouterr().out
    assert (
        "4.50   (4.00 .. 5.00) times" in said and "35 of 36 answers read" in said and "120 images, tokenizer x" in said
    )
