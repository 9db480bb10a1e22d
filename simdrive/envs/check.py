"""The contract of a vector environment, checked: Gymnasium has a checker for single environments only.

Use it on any ``gymnasium.vector.VectorEnv`` whose slots are independent worlds::

    check_vector_env(lambda count, mode: MyVectorEnv(count, autoreset_mode=mode))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from simdrive.errors import ControlError

Make = Callable[[int, AutoresetMode], VectorEnv[Any, Any, Any]]
_SEED = 11


def check_vector_env(make: Make, count: int = 3, steps: int = 400) -> None:
    """Check spaces, types, seeding, copies, determinism, independence of the number of slots, and autoreset.

    Args:
        make: makes the environment with a number of slots and an autoreset mode.
        count: slots to check with, at least 2.
        steps: within so many steps of random actions at least one episode must end.

    Raises:
        AssertionError: on the first breach; the message says which.
    """
    for check in (_check_spaces, _check_seeding, _check_copies, _check_independence, _check_bad_actions):
        check(make, count)
    _check_next_step(make, count, steps)
    _check_same_step(make, count, steps)
    _check_disabled(make, count, steps)


def _actions(env: VectorEnv[Any, Any, Any], seed: int, steps: int) -> list[Any]:
    """Return random actions; those of slot i do not depend on how many slots there are."""
    single, columns = env.single_action_space, []
    for slot in range(env.num_envs):
        single.seed(seed + slot)
        columns.append([single.sample() for _ in range(steps)])
    return [np.stack([column[step] for column in columns]) for step in range(steps)]


def _same(first: Any, second: Any) -> bool:
    """Return whether two values are equal bit for bit, dictionaries and object arrays included."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, (tuple, list)):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, np.ndarray) and first.dtype == object:
        return first.shape == second.shape and all(map(_same, first.flat, second.flat))
    if isinstance(first, np.ndarray):
        return bool(first.dtype == second.dtype and first.tobytes() == second.tobytes())
    return bool(first == second) or first is second


def _slot(value: Any, slot: int) -> Any:
    """Return one slot of a batched observation."""
    if isinstance(value, dict):
        return {key: _slot(part, slot) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_slot(part, slot) for part in value)
    return value[slot]


def _arrays(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, dict):
        return [array for part in value.values() for array in _arrays(part)]
    if isinstance(value, tuple):
        return [array for part in value for array in _arrays(part)]
    return [value] if isinstance(value, np.ndarray) else []


def _check_spaces(make: Make, count: int) -> None:
    env = make(count, AutoresetMode.NEXT_STEP)
    assert env.num_envs == count, f"num_envs is {env.num_envs}, {count} slots were asked for"
    mode = env.metadata.get("autoreset_mode")
    assert mode is AutoresetMode.NEXT_STEP, f"metadata['autoreset_mode'] is {mode!r}"
    for name in ("observation_space", "action_space"):
        single = getattr(env, f"single_{name}")
        assert getattr(env, name) == batch_space(single, count), f"{name} is not the batched single_{name}"
    observation, info = env.reset(seed=_SEED)
    assert observation in env.observation_space, "reset() returns an observation outside its space"
    assert isinstance(info, dict), f"reset() returns infos of type {type(info).__name__}"
    for action in _actions(env, _SEED, 3):
        observation, reward, terminated, truncated, info = env.step(action)
        assert observation in env.observation_space, "step() returns an observation outside its space"
        assert reward.shape == (count,), f"rewards have shape {reward.shape}"
        assert np.isfinite(reward).all(), f"rewards are not finite: {reward}"
        for flag in (terminated, truncated):
            assert flag.shape == (count,), f"flags have shape {flag.shape}"
            assert flag.dtype == np.bool_, f"flags have type {flag.dtype}"
        _check_masks(info, count)
    env.close()


def _check_masks(info: dict[str, Any], count: int) -> None:
    for name in info:
        if name.startswith("_"):
            continue
        mask = info.get(f"_{name}")
        assert isinstance(mask, np.ndarray), f"info {name!r} has no mask _{name}"
        assert mask.shape == (count,), f"mask _{name} has shape {mask.shape}"


def _drive(env: VectorEnv[Any, Any, Any], seed: Any, steps: int) -> list[Any]:
    rows: list[Any] = [env.reset(seed=seed)]
    rows += [env.step(action) for action in _actions(env, _SEED, steps)]
    env.close()
    return rows


def _check_seeding(make: Make, count: int) -> None:
    mode = AutoresetMode.NEXT_STEP
    first = _drive(make(count, mode), _SEED, 8)
    assert _same(first, _drive(make(count, mode), _SEED, 8)), "the same seed gives another run"
    listed = [_SEED + slot for slot in range(count)]
    assert _same(first, _drive(make(count, mode), listed, 8)), "seed s and seeds [s, s + 1, ...] differ"
    others = (_drive(make(count, mode), _SEED + k * 1000, 0) for k in range(1, 6))
    # A scenario of a few recordings may draw the same ones again once.
    assert not all(_same(first[0][0], other[0][0]) for other in others), "other seeds give the same first observation"
    env = make(count, mode)
    env.reset(seed=_SEED + 1000)
    again = [env.reset(seed=_SEED), *(env.step(action) for action in _actions(env, _SEED, 8))]
    assert _same(first, again), "a reset with the same seed gives another run than a new environment"
    env.close()


def _check_copies(make: Make, count: int) -> None:
    env = make(count, AutoresetMode.NEXT_STEP)
    returned = [env.reset(seed=_SEED)[0]]
    frozen = [[array.copy() for array in _arrays(returned[0])]]
    for action in _actions(env, _SEED, 3):
        returned.append(env.step(action)[0])
        frozen.append([array.copy() for array in _arrays(returned[-1])])
    for observation, before in zip(returned, frozen, strict=True):
        assert _same(_arrays(observation), before), "a later call overwrote a returned observation"
    for array in _arrays(returned[-1]):
        array.fill(0)
    following = env.step(_actions(env, _SEED + 1, 1)[0])[0]
    reference = make(count, AutoresetMode.NEXT_STEP)
    reference.reset(seed=_SEED)
    for action in [*_actions(reference, _SEED, 3), *_actions(reference, _SEED + 1, 1)]:
        expected = reference.step(action)[0]
    assert _same(following, expected), "writing into a returned observation changes the environment"
    env.close()
    reference.close()


def _check_independence(make: Make, count: int) -> None:
    many = _drive(make(count, AutoresetMode.NEXT_STEP), _SEED, 8)
    for slot in range(count):
        env = make(1, AutoresetMode.NEXT_STEP)
        alone: list[Any] = [env.reset(seed=_SEED + slot)]
        for action in _actions(make(count, AutoresetMode.NEXT_STEP), _SEED, 8):
            alone.append(env.step(action[slot : slot + 1]))
        env.close()
        for row, single in zip(many, alone, strict=True):
            for part, one in zip(row[:-1], single[:-1], strict=True):
                assert _same(_slot(part, slot), _slot(one, 0)), f"slot {slot} depends on the number of slots"


def _check_bad_actions(make: Make, count: int) -> None:
    env = make(count, AutoresetMode.NEXT_STEP)
    env.reset(seed=_SEED)
    good = _actions(env, _SEED, 1)[0]
    if np.issubdtype(good.dtype, np.floating):
        bad = good.copy()
        bad[-1].fill(np.nan)
        try:
            env.step(bad)
        except (ControlError, ValueError):
            pass
        else:
            raise AssertionError("an action that is not a number is accepted")
        expected = make(count, AutoresetMode.NEXT_STEP)
        expected.reset(seed=_SEED)
        assert _same(env.step(good), expected.step(good)), "a refused action changes the environment"
        expected.close()
    env.close()


def _until_over(env: VectorEnv[Any, Any, Any], steps: int) -> tuple[Any, np.ndarray[Any, Any], int]:
    """Drive to the first end of an episode; return that step's result, who ended, and the step's number."""
    for number, action in enumerate(_actions(env, _SEED, steps)):
        result = env.step(action)
        over = result[2] | result[3]
        if over.any():
            return result, over, number
    raise AssertionError(f"no episode ended within {steps} steps of random actions")


def _check_next_step(make: Make, count: int, steps: int) -> None:
    env = make(count, AutoresetMode.NEXT_STEP)
    env.reset(seed=_SEED)
    _, over, number = _until_over(env, steps)
    action = _actions(env, _SEED, number + 2)[-1]
    _, reward, terminated, truncated, _ = env.step(action)
    assert (reward[over] == 0.0).all(), "NEXT_STEP: the step that starts an episode has a reward"
    assert not (terminated | truncated)[over].any(), "NEXT_STEP: the step that starts an episode ends it"
    env.close()


def _check_same_step(make: Make, count: int, steps: int) -> None:
    env, twin = make(count, AutoresetMode.SAME_STEP), make(count, AutoresetMode.NEXT_STEP)
    env.reset(seed=_SEED)
    twin.reset(seed=_SEED)
    result, over, number = _until_over(env, steps)
    last, _, _ = _until_over(twin, steps)
    started = twin.step(_actions(twin, _SEED, number + 2)[-1])[0]
    infos = result[4]
    for name in ("final_obs", "final_info"):
        assert name in infos, f"SAME_STEP: infos lack {name!r} at the end of an episode"
        assert np.array_equal(infos[f"_{name}"], over), f"SAME_STEP: _{name} does not mark the ended slots"
    for slot in np.flatnonzero(over).tolist():
        final, true_last = infos["final_obs"][slot], _slot(last[0], slot)
        assert _same(final, true_last), "SAME_STEP: final_obs is not the last observation of the episode"
        first = _slot(started, slot)
        assert _same(_slot(result[0], slot), first), "SAME_STEP: the observation is not the next episode's"
    env.close()
    twin.close()


def _check_disabled(make: Make, count: int, steps: int) -> None:
    env = make(count, AutoresetMode.DISABLED)
    env.reset(seed=_SEED)
    result, over, _ = _until_over(env, steps)
    options = {"reset_mask": over.copy()}
    observation, _ = env.reset(options=options)
    assert set(options) == {"reset_mask"}, "DISABLED: reset() takes its option out of the caller's dictionary"
    for slot in np.flatnonzero(~over).tolist():
        same = _same(_slot(observation, slot), _slot(result[0], slot))
        assert same, "DISABLED: reset() touches a slot outside the mask"
    for slot in np.flatnonzero(over).tolist():
        same = _same(_slot(observation, slot), _slot(result[0], slot))
        assert not same, "DISABLED: reset() leaves a slot of the mask at its last observation"
    env.close()
