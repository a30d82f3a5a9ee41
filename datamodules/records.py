"""What a shard stores under one key: the images once, and every sample that is asked about them, as JSON.

Reading is strict: an unknown or missing field is an error of one line that says where, never a default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from PIL import Image

from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Distortion, Sample, Slot, Task, Truth, Turn

# webdataset takes everything up to the first dot of a member's name as its key, and `__x__` as its own.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True)
class RecordSample:
    """One question about a record's images; `slots` says which of them it sees."""

    task: Task
    slots: tuple[Slot, ...]
    dialogue: tuple[Turn, ...]
    truth: Truth = field(default_factory=Truth)


@dataclass(frozen=True)
class Record:
    """Images once and samples about them. An image is a PIL image or the bytes of an image file.

    `reference` says what the images were made from (a photo, a reference file); `build` refuses to have the
    same one in train and test.
    """

    key: str
    images: Mapping[Slot, Image.Image | bytes]
    samples: tuple[RecordSample, ...]
    reference: str = ""


def record_key(number: int, name: str) -> str:
    """A key of its own for record `number`, with what of `name` is safe in a tar."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60]
    return f"{number:06d}-{safe}" if safe else f"{number:06d}"


def check_record(record: Record, where: str = "record") -> None:
    """ValueError unless the key is safe in a tar and every sample's slots have images."""
    if not KEY.fullmatch(record.key):
        raise ValueError(f"{where}: key '{record.key}' is split or lost by webdataset; use up to 80 of A-Z a-z 0-9 _ -")
    if not record.images:
        raise ValueError(f"{where} '{record.key}': no image; give at least one")
    if not record.samples:
        raise ValueError(f"{where} '{record.key}': no samples; give at least one")
    for number, sample in enumerate(record.samples):
        _check_slots(sample, set(record.images), f"{where} '{record.key}' samples[{number}]")


def to_json(samples: tuple[RecordSample, ...]) -> dict[str, Any]:
    """The samples of a record as plain JSON values; what is not stated is left out."""
    return {"samples": [_sample_to_json(sample) for sample in samples]}


def from_json(value: Any, where: str, truths: bool = True) -> tuple[RecordSample, ...]:
    """The reverse of `to_json`. `where` names shard and key in errors; without `truths` it is faster."""
    _fields(value, where, required={"samples"})
    if not isinstance(value["samples"], list) or not value["samples"]:
        raise ValueError(f"{where}: field 'samples' must be a list of at least one sample")
    return tuple(_sample_from_json(item, f"{where} samples[{i}]", truths) for i, item in enumerate(value["samples"]))


def to_sample(record: Record, index: int, source: str) -> Sample:
    """Sample `index` of a record with its images open, keyed `source/KEY/index`."""
    from depictqa.image import decode_image

    chosen = record.samples[index]
    images = {}
    for slot in Slot:  # in prompt order, whatever the order in the record
        if slot in chosen.slots:
            image = record.images[slot]
            images[slot] = decode_image(image, f"{record.key}.{slot}") if isinstance(image, bytes) else image
    return Sample(f"{source}/{record.key}/{index}", chosen.task, images, chosen.dialogue, chosen.truth)


def _sample_from_json(value: Any, where: str, truths: bool) -> RecordSample:
    _fields(value, where, required={"task", "slots", "dialogue"}, optional={"truth"})
    slots = tuple(_word(Slot, slot, where, "slots") for slot in _list(value, "slots", where))
    turns = []
    for turn in _list(value, "dialogue", where):
        _fields(turn, where, required={"question", "answer"})
        turns.append(Turn(_text(turn, "question", where), _text(turn, "answer", where)))
    sample = RecordSample(
        task=_word(Task, value["task"], where, "task"),
        slots=slots,
        dialogue=tuple(turns),
        truth=_truth_from_json(value["truth"], where) if truths and "truth" in value else Truth(),
    )
    _check_slots(sample, set(Slot), where)
    return sample


def _check_slots(sample: RecordSample, filled: set[Slot], where: str) -> None:
    if not sample.dialogue:
        raise ValueError(f"{where}: field 'dialogue' is empty; give at least one turn")
    if len(set(sample.slots)) != len(sample.slots):
        raise ValueError(f"{where}: field 'slots' names a slot twice: {', '.join(sample.slots)}")
    missing = [slot for slot in sample.slots if slot not in filled]
    if missing:
        raise ValueError(f"{where}: field 'slots' names {', '.join(missing)}, of which the record has no image")
    needed = {Slot.A, Slot.B} if sample.task.compares else set()
    if needed - set(sample.slots):
        raise ValueError(f"{where}: task '{sample.task}' needs slots a and b, got {', '.join(sample.slots) or 'none'}")
    if not needed and not {Slot.A, Slot.B} & set(sample.slots):
        raise ValueError(f"{where}: task '{sample.task}' needs slot a or b, got {', '.join(sample.slots) or 'none'}")


def _sample_to_json(sample: RecordSample) -> dict[str, Any]:
    value: dict[str, Any] = {
        "task": str(sample.task),
        "slots": [str(slot) for slot in sample.slots],
        "dialogue": [{"question": turn.question, "answer": turn.answer} for turn in sample.dialogue],
    }
    truth = sample.truth
    stated: dict[str, Any] = {}
    if truth.better is not None:
        stated["better"] = str(truth.better)
    if truth.vote is not None:
        stated["vote"] = float(truth.vote)
    if truth.num_votes is not None:
        stated["num_votes"] = truth.num_votes
    if truth.distortions:
        stated["distortions"] = {str(slot): [asdict(d) for d in found] for slot, found in truth.distortions.items()}
    if truth.questionnaires:
        stated["questionnaires"] = {str(s): _questionnaire_to_json(form) for s, form in truth.questionnaires.items()}
    if stated:
        value["truth"] = stated
    return value


def _questionnaire_to_json(form: Questionnaire) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(form).items() if value is not None}


def _truth_from_json(value: Any, where: str) -> Truth:
    _fields(value, where, optional={"better", "vote", "num_votes", "distortions", "questionnaires"})
    better, vote, num_votes = value.get("better"), value.get("vote"), value.get("num_votes")
    if vote is not None and not (isinstance(vote, int | float) and 0 <= vote <= 1):
        raise ValueError(f"{where}: field 'vote' is {vote!r}; give the fraction 0..1 that preferred B")
    if num_votes is not None and not (type(num_votes) is int and num_votes >= 1):
        raise ValueError(f"{where}: field 'num_votes' is {num_votes!r}; give how many people voted, 1 or more")
    distortions = {
        _word(Slot, slot, where, "distortions"): tuple(_distortion(d, where) for d in found)
        for slot, found in _by_slot(value, "distortions", where).items()
    }
    questionnaires = {
        _word(Slot, slot, where, "questionnaires"): _questionnaire(form, where)
        for slot, form in _by_slot(value, "questionnaires", where).items()
    }
    return Truth(
        better=None if better is None else _word(Slot, better, where, "better"),
        vote=None if vote is None else float(vote),
        num_votes=num_votes,
        distortions=distortions,
        questionnaires=questionnaires,
    )


def _by_slot(value: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = value.get(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{where}: field '{name}' must be an object by slot, got {type(found).__name__}")
    return found


def _distortion(value: Any, where: str) -> Distortion:
    _fields(value, where, required={"name", "function", "severity"})
    severity = value["severity"]
    if not isinstance(severity, int) or not 1 <= severity <= 5:
        raise ValueError(f"{where}: field 'severity' is {severity!r}; give a whole number 1..5")
    return Distortion(_text(value, "name", where), _text(value, "function", where), severity)


def _questionnaire(value: Any, where: str) -> Questionnaire:
    levels = {"brightness", "color", "noise", "artifacts", "blur"}
    _fields(value, where, required=levels | {"overall"}, optional={"texture", "texture_damage"})
    stated: dict[str, Any] = {name: _word(Level, value[name], where, name) for name in sorted(levels)}
    stated["overall"] = _word(Overall, value["overall"], where, "overall")
    if value.get("texture") is not None:
        stated["texture"] = _text(value, "texture", where)
    if value.get("texture_damage") is not None:
        stated["texture_damage"] = _word(Level, value["texture_damage"], where, "texture_damage")
    return Questionnaire(**stated)


def _fields(
    value: Any, where: str, required: AbstractSet[str] = frozenset(), optional: AbstractSet[str] = frozenset()
) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a JSON object, got {type(value).__name__}")
    if not required <= value.keys():
        missing = min(required - value.keys())
        raise ValueError(f"{where}: field '{missing}' is missing; write the record again with it")
    if not value.keys() <= required | optional:
        unknown, known = min(value.keys() - required - optional), ", ".join(sorted(required | optional))
        raise ValueError(f"{where}: field '{unknown}' is unknown; the fields are {known}")


def _list(value: Mapping[str, Any], name: str, where: str) -> list[Any]:
    if not isinstance(value[name], list):
        raise ValueError(f"{where}: field '{name}' must be a list, got {type(value[name]).__name__}")
    return value[name]


def _text(value: Mapping[str, Any], name: str, where: str) -> str:
    if not isinstance(value[name], str):
        raise ValueError(f"{where}: field '{name}' must be text, got {type(value[name]).__name__}")
    return value[name]


def _word(kind: type[_Word], value: Any, where: str, name: str) -> _Word:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(kind)
        raise ValueError(
            f"{where}: field '{name}': {kind.__name__.lower()} '{value}' unknown; choose {choices}"
        ) from None
