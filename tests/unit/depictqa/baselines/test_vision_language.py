"""A tiny LLaVA and a tiny Qwen2.5-VL with random weights, saved and opened by path as a user's are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from depictqa.baselines.vision_language import VisionLanguage
from depictqa.sample import Slot, Task, Turn
from depictqa.testing import make_sample, mixed_samples, random_image, tiny_tokenizer

TEMPLATE = "USER: {images}{question} ASSISTANT:"


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    processor.save_pretrained(folder)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, eos_token_id=2, bos_token_id=1, pad_token_id=None, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=image_id)
    ).save_pretrained(folder)
    return folder


def opened(folder: Path, **options: object) -> VisionLanguage:
    settings = {"template": TEMPLATE, "max_new_tokens": 8, "accelerator": "cpu", **options}
    answerer = VisionLanguage("tiny", str(folder), **settings)  # type: ignore[arg-type]
    answerer.check()
    return answerer


@pytest.mark.parametrize("layout", ["interleaved", "side_by_side"])
def test_answers_do_not_depend_on_the_batch(llava: Path, layout: str) -> None:
    samples = mixed_samples()
    alone = opened(llava, layout=layout, batch_size=1).answer(samples)
    together = opened(llava, layout=layout, batch_size=4)
    replies = together.answer(samples)
    assert together._largest is None, "the processor took no batch"
    assert [reply.text for reply in replies] == [reply.text for reply in alone]
    assert all(reply.text for reply in replies)
    assert len({reply.text for reply in replies}) > 1
    for one, other in zip(replies, alone, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert 0 < one.confidence <= 1


def test_the_words_are_those_of_the_library_s_own_generation(llava: Path) -> None:
    answerer = opened(llava)
    (sample,) = [one for one in mixed_samples() if one.key == "compare_ref"]
    text, images = answerer.prompt(sample)
    inputs = answerer.processor(text=text, images=images, return_tensors="pt")
    ids = answerer.model.generate(**inputs, do_sample=False, max_new_tokens=8)[0, inputs["input_ids"].shape[1] :]
    (reply,) = answerer.answer([sample])
    assert reply.text == answerer.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    logits = answerer.model(**inputs).logits[0, -1].softmax(-1)
    once = opened(llava, max_new_tokens=1).answer([sample])[0]
    assert once.confidence == pytest.approx(logits.max().item(), abs=1e-5)


def test_images_are_looked_at(llava: Path) -> None:
    sample = make_sample(Task.DESCRIPTION)
    other = replace(sample, images={Slot.A: random_image(seed=99)})
    first, second = opened(llava).answer([sample, other])
    assert first.confidence != second.confidence


def test_each_image_stands_behind_its_name(llava: Path) -> None:
    sizes = {Slot.B: (30, 30), Slot.REFERENCE: (40, 40), Slot.A: (50, 50)}
    sample = make_sample(sizes=sizes, question="<image>\nWhich is better?", answer="Image B")
    text, images = opened(llava).prompt(sample)
    named = "Reference Image: <image>\nImage A: <image>\nImage B: <image>\n"
    assert text == f"USER: {named}Which is better? ASSISTANT:"
    assert [image.size for image in images] == [(40, 40), (50, 50), (30, 30)]


def test_one_picture_of_several_images(llava: Path) -> None:
    answerer = opened(llava, layout="side_by_side")
    text, (picture,) = answerer.prompt(make_sample(sizes={Slot.A: (200, 100), Slot.B: (200, 100)}))
    shown = "From left to right: Image A, Image B. <image>\n"
    assert text == f"USER: {shown}Which image is better? ASSISTANT:"
    assert picture.width == 408
    text, (picture,) = answerer.prompt(make_sample(Task.DESCRIPTION, {Slot.A: (90, 30)}, "Describe it."))
    assert text == "USER: <image>\nDescribe it. ASSISTANT:"
    assert picture.size == (90, 30)


def test_earlier_turns_stay_and_the_own_answer_does_not(llava: Path) -> None:
    sample = make_sample(Task.DESCRIPTION)
    sample = replace(sample, dialogue=(Turn("Is it sharp?", "No."), Turn("Why?", "secret")))
    text, images = opened(llava).prompt(sample)
    assert text == "USER: <image>\nIs it sharp? ASSISTANT: No.</s>USER: Why? ASSISTANT:"
    assert len(images) == 1


def test_a_chat_template_is_used_where_there_is_one(llava: Path) -> None:
    answerer = opened(llava)
    processor = answerer.processor
    processor.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}]{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}[go]{% endif %}"
    )
    answerer.template = None
    text, _ = answerer.prompt(make_sample())
    assert text == "[user]Image A:<image>Image B:<image>Which image is better?[go]"
    assert answerer.answer([make_sample()])[0].text


def test_a_processor_that_takes_no_batch_gets_one_sample_at_a_time(llava: Path) -> None:
    class OneAtATime(LlavaProcessor):
        def __call__(self, images=None, text=None, **rest):  # type: ignore[no-untyped-def]
            if len(text) > 1:
                raise ValueError("one text, please")
            return super().__call__(images=images, text=text, **rest)

    samples = mixed_samples()
    answerer = opened(llava, batch_size=4)
    expected = [reply.text for reply in answerer.answer(samples)]
    answerer.processor = OneAtATime.from_pretrained(llava)
    answerer.processor.tokenizer.pad_token = "</s>"
    assert [reply.text for reply in answerer.answer(samples)] == expected
    assert answerer._largest == 1


def test_odds_are_given_where_the_answer_says_a_letter(llava: Path) -> None:
    answerer = opened(llava, max_new_tokens=1)
    tokenizer = answerer.processor.tokenizer
    (letter,) = tokenizer.encode("B", add_special_tokens=False)
    with torch.no_grad():  # a head that says B and little else
        head = answerer.model.get_output_embeddings()
        head.weight.zero_()
        head.bias = torch.nn.Parameter(torch.zeros(len(head.weight)))
        head.bias[letter] = 5.0
    (reply,) = answerer.answer([make_sample()])
    assert reply.text == "B"
    assert reply.scores["b"] == pytest.approx(torch.tensor(5.0).sigmoid().item(), abs=1e-4)
    assert reply.scores["a"] + reply.scores["b"] == pytest.approx(1)
    assert answerer.answer([make_sample(Task.DESCRIPTION)])[0].scores == {}


def test_what_is_wrong_is_said_in_one_line(llava: Path, tmp_path: Path) -> None:
    for options, words in (
        ({"layout": "stacked"}, r"baseline\.tiny\.layout.*interleaved, side_by_side"),
        ({"dtype": "float7"}, r"baseline\.tiny\.dtype"),
        ({"template": "USER:"}, r"baseline\.tiny\.template"),
    ):
        with pytest.raises(ValueError, match=words) as found:
            opened(llava, **options)
        assert "\n" not in str(found.value)
    with pytest.raises(ValueError, match=r"no chat template.*baseline\.tiny\.template"):
        opened(llava, template=None)
    with pytest.raises(ValueError, match=r"baseline\.tiny\.path=DIR_OR_HUB_ID"):
        VisionLanguage("tiny", None).check()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="opens as no processor") as found:
        opened(tmp_path)
    assert "\n" not in str(found.value)
