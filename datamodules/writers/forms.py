"""Known distortions -> the questionnaire that a careful annotator would fill in. The one place of this mapping.

- *Field*: `depictqa.questionnaire.FIELD_OF` files each class under the field that it is seen as.
- *Level*: severities 1 and 2 (slight, moderate) are mild; 3 to 5 (obvious, serious, catastrophic) are severe:
  what is obvious at a glance is no longer mild. All functions of a class are calibrated to one scale of
  severity, so the function does not enter.
- *Texture damage*: only what destroys fine structure counts. Blur averages it away, noise covers it,
  compression and pixelation replace it by blocks, quantization merges it into flat regions: the damage is as
  strong as the distortion. Oversharpening overstates structure without removing it, so it damages mildly, and
  only when it is severe. Changes of tone and saturation keep edges and grain: no damage.
- *Overall*: slight distortions (severity 1) leave an image nearly undistorted; a moderate one, or several
  slight ones, makes it mild; anything obvious makes it severe.
"""

from __future__ import annotations

from collections.abc import Sequence

from depictqa.questionnaire import FIELD_OF, Level, Overall, Questionnaire
from depictqa.sample import Distortion

DESTROYS_TEXTURE = frozenset({"blur", "noise", "compression", "pixelate", "quantization"})
MAX_MILD_SEVERITY = 2

_ORDER = (Level.UNDISTORTED, Level.MILD, Level.SEVERE)


def level_of(severity: int) -> Level:
    """Severity 1..5 -> mild or severe."""
    assert 1 <= severity <= 5, severity
    return Level.MILD if severity <= MAX_MILD_SEVERITY else Level.SEVERE


def overall_of(severities: Sequence[int]) -> Overall:
    """The severities of all distortions of an image -> its overall quality."""
    worst = max(severities, default=0)
    if worst > MAX_MILD_SEVERITY:
        return Overall.SEVERE
    if worst == MAX_MILD_SEVERITY or len(severities) > 1:
        return Overall.MILD
    return Overall.NEARLY_UNDISTORTED


def fill_questionnaire(distortions: Sequence[Distortion], texture: str | None = None) -> Questionnaire:
    """The form of an image with these distortions; without any it is the form of a clean image."""
    levels: dict[str, Level] = {}
    for distortion in distortions:
        field = FIELD_OF[distortion.name]
        levels[field] = worst_level(levels.get(field, Level.UNDISTORTED), level_of(distortion.severity))
    return Questionnaire(
        **levels,
        overall=overall_of([distortion.severity for distortion in distortions]),
        texture=texture,
        texture_damage=worst_level(Level.UNDISTORTED, *(_texture_damage(d) for d in distortions)),
    )


def worst_level(*levels: Level) -> Level:
    """The strongest of several levels."""
    return max(levels, key=_ORDER.index)


def _texture_damage(distortion: Distortion) -> Level:
    level = level_of(distortion.severity)
    if distortion.name in DESTROYS_TEXTURE:
        return level
    if distortion.name == "oversharpen" and level is Level.SEVERE:
        return Level.MILD
    return Level.UNDISTORTED
