"""What a driving answer may consist of in each style, as forms of words; the widest thing a model can be held to."""

from __future__ import annotations

from simdrive.agents.language.codec import vocabulary
from simdrive.agents.language.questions import ACTIONS, SIDEWARD, Style
from simdrive.agents.language.sights import KINDS, MOST, MOTIONS, NEAR_M, NOTHING, PLACES

Form = tuple[tuple[str, ...], ...]

_KINDS = tuple(KINDS.values())
_NOTHING: Form = ((NOTHING,),)
_NAMED: Form = (_KINDS, tuple(PLACES), tuple(map(str, NEAR_M)), tuple(MOTIONS))


def answer_forms(style: Style) -> tuple[Form, ...]:
    """Return the forms of a driving answer in one style: places in order, each with its words."""
    if style == "plan":
        return (vocabulary(),)
    why: tuple[Form, ...] = ((_KINDS, tuple(PLACES), tuple(MOTIONS)), _NOTHING)
    if style == "reason_plan":
        return tuple((*reason, (";",), *vocabulary()) for reason in why)
    action: Form = (tuple(ACTIONS), tuple(SIDEWARD), ("for",), (*_KINDS, NOTHING))
    return tuple((*seen, (";",), *reason, (";",), *action, (";",), *vocabulary()) for seen in _seen() for reason in why)


def _seen() -> tuple[Form, ...]:
    several: list[Form] = [_NAMED]
    for _ in range(MOST - 1):
        several.append((*several[-1], (",",), *_NAMED))
    return (_NOTHING, *several)
