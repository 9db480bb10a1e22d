"""Hydra behind an ordinary command line: ``key=value`` words become one resolved, plain configuration.

Hydra's messages name internals; this module turns them into the names a user may choose from.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from simdrive.build import config_groups, config_names
from simdrive.errors import ParameterError, UnknownNameError


def compose_config(primary: str, words: Sequence[str]) -> dict[str, Any]:
    """Return the resolved configuration of ``configs/<primary>.yaml`` under ``key=value`` words.

    Raises:
        ParameterError: if a word is no ``key=value`` or a value cannot be parsed.
        UnknownNameError: if a key or the choice of a group does not exist.
    """
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _check_words(primary, words)
    names, words = _split_names(primary, words)
    with initialize_config_module(config_module="simdrive.configs", version_base="1.3"):
        try:
            config = OmegaConf.to_container(compose(primary, overrides=list(words)), resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise _friendly(primary, words, error) from error
    if not isinstance(config, dict):
        raise ParameterError(f"configuration {primary!r} is not a mapping")
    return {str(key): value for key, value in config.items()} | names


def _split_names(primary: str, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Take out words such as ``suite=smoke``: names of entries that are looked up later, each composed by itself.

    Hydra would take them for choices of the config group of the same name.
    """
    import yaml

    plain = set(config_groups()) - set(_default_groups(primary))
    names = {word.partition("=")[0]: word.partition("=")[2] for word in words if word.partition("=")[0] in plain}
    rest = [word for word in words if word.partition("=")[0] not in plain]
    try:
        return {key: yaml.safe_load(text) for key, text in names.items()}, rest
    except yaml.YAMLError as error:
        shown = ", ".join(f"{key}={text!r}" for key, text in names.items())
        raise ParameterError(f"cannot read {shown}: {str(error).splitlines()[0]}") from error


def chosen(group: str, words: Sequence[str], default: str) -> str:
    """Return the option of a config group that the words choose."""
    picks = [word.partition("=")[2] for word in words if word.partition("=")[0].lstrip("+") == group]
    return picks[-1] if picks else default


def _check_words(primary: str, words: Sequence[str]) -> None:
    for word in words:
        key, sign, _ = word.partition("=")
        if not sign:
            near = difflib.get_close_matches(key, _top_keys(primary), n=1)
            example = f"{near[0]}=..." if near else "suite=smoke"
            raise ParameterError(f"{word!r} is not of the form key=value (for example {example})")
        top = key.lstrip("+~").split("@")[0].split(".")[0].split("/")[0]
        if not top:
            raise ParameterError(f"{word!r} names no option before the =; write key=value, for example suite=smoke")
        if not key.startswith(("+", "~")) and top not in _top_keys(primary):
            raise UnknownNameError(f"option of 'simdrive {primary}'", top, _top_keys(primary))
        choice = word.partition("=")[2]
        if key in _default_groups(primary) and choice not in config_names(key):
            raise UnknownNameError(key, choice, config_names(key))


def _top_keys(primary: str) -> tuple[str, ...]:
    """Keys of the primary config, groups of its defaults list included."""
    keys = [key for key in _primary(primary) if key != "defaults"]
    return tuple(sorted([*keys, *_default_groups(primary)]))


def _default_groups(primary: str) -> list[str]:
    """Groups of the defaults list of a primary config: these are choices that Hydra makes."""
    entries = _primary(primary).get("defaults", [])
    return [str(name) for entry in entries if isinstance(entry, dict) for name in entry]


def _primary(primary: str) -> dict[str, Any]:
    import yaml

    from simdrive.build import CONFIG_ROOT

    raw: dict[str, Any] = yaml.safe_load((CONFIG_ROOT / f"{primary}.yaml").read_text(encoding="utf-8"))
    return raw


def _friendly(primary: str, words: Sequence[str], error: Exception) -> ParameterError | UnknownNameError:
    """Translate a Hydra error; the field that does not exist is looked up beside its neighbours."""
    text = str(error).splitlines()[0]
    for word in words:
        key = word.partition("=")[0].lstrip("+~")
        head, _, field = key.rpartition(".")
        if (head and f"'{key}'" in text) or f"'{field}'" in text:
            allowed = _fields_of(primary, head, [other for other in words if other != word])
            if allowed and field not in allowed:
                return UnknownNameError(f"field of {head!r}", field, allowed)
    return ParameterError(f"cannot compose 'simdrive {primary} {' '.join(words)}': {text}")


def _fields_of(primary: str, path: str, words: Sequence[str]) -> tuple[str, ...]:
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf

    try:
        node = OmegaConf.select(compose(primary, overrides=list(words)), path)
    except HydraException:
        return ()
    return tuple(str(key) for key in node if not str(key).startswith("_")) if isinstance(node, DictConfig) else ()
