"""A tiny random Qwen2.5-VL: images of their own size, a chat template, and a penalty that must not count."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from depictqa.baselines.vision_language import VisionLanguage
from depictqa.testing import mixed_samples, tiny_tokenizer

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}]{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}" + IMAGE + "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen")
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))
    marks = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer.add_tokens(marks, special_tokens=True)
    image, video, start, end = tokenizer.convert_tokens_to_ids(marks)
    size = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size), tokenizer, Qwen2VLVideoProcessor(size=size), chat_template=TEMPLATE
    ).save_pretrained(folder)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2,
            "initializer_range": 0.5, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3],
                                                          "rope_theta": 1e4},
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        image_token_id=image, video_token_id=video, vision_start_token_id=start, vision_end_token_id=end,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[2], do_sample=True, temperature=5.0, top_k=3, repetition_penalty=3.0
    )
    model.save_pretrained(folder)
    return folder


def opened(folder: Path, batch_size: int) -> VisionLanguage:
    return VisionLanguage("tiny", str(folder), max_new_tokens=8, batch_size=batch_size, accelerator="cpu")


def test_answers_are_greedy_and_do_not_depend_on_the_batch(qwen: Path) -> None:
    samples = mixed_samples()
    answerer = opened(qwen, 4)
    together, alone = answerer.answer(samples), opened(qwen, 1).answer(samples)
    assert answerer._largest is None, "the processor took no batch"
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
    text, images = answerer.prompt(samples[1])
    assert text == (
        f"[user]Reference Image:{IMAGE}Image A:{IMAGE}Image B:{IMAGE}{samples[1].dialogue[0].question}[assistant]"
    )
    inputs = answerer.processor(text=[text], images=images, return_tensors="pt")
    ids: list[int] = []
    for _ in range(8):  # by hand, without the model's penalty
        logits = answerer.model(**inputs).logits[0, -1]
        ids.append(int(logits.argmax()))
        if ids[-1] == 2:
            break
        longer = torch.tensor([[ids[-1]]])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], longer], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if "mm_token_type_ids" in inputs:
            inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(longer)], 1)
    words = answerer.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert together[1].text == words
