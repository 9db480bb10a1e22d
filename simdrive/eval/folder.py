"""The fixed files of a run folder (run.json, config.yaml, plan.parquet): creation, checks, readable
differences.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import simdrive
from simdrive.errors import RunFolderError
from simdrive.eval.files import is_temporary, write_json, write_text
from simdrive.eval.lock import LOCK
from simdrive.eval.plan import PLAN_SCHEMA
from simdrive.eval.schema import SCHEMA_VERSION, TABLES, write_table
from simdrive.streams import canonical_json, digest

FORMAT = "simdrive-run"
FOLDERS = (*TABLES, "maps", "errors")
SHOWN = 12  # lines of a difference
_ENTRIES = {"config_hash": str, "plan_hash": str, "planned": int}  # of run.json, by which a folder is recognised
_PACKAGES = ("numpy", "numba", "pyarrow", "pandas", "scipy", "highway-env", "gymnasium")


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration as plain JSON values (tuples become lists, keys become text)."""
    result: dict[str, Any] = json.loads(canonical_json(config))
    return result


def is_empty(path: Path) -> bool:
    """Return whether there is nothing at ``path``, or a folder without anything but half-written files of
    ours.

    Raises:
        RunFolderError: if there is a file.
    """
    if not path.exists():
        return True
    if not path.is_dir():
        raise RunFolderError(f"{path} is a file; give another folder with out=...")
    return all(is_temporary(entry) or entry.name == LOCK for entry in path.iterdir())


def plan_hash(plan: pd.DataFrame) -> str:
    """Return a hash of the planned keys in order."""
    return digest(list(plan["key"]))


def create(path: Path, config: dict[str, Any], plan: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write the fixed files of a new run folder, ``run.json`` first: it marks the folder as ours."""
    path.mkdir(parents=True, exist_ok=True)
    run = {
        **plain(provenance),
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "simdrive": simdrive.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config_hash": digest(config),
        "plan_hash": plan_hash(plan),
        "planned": len(plan),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in _PACKAGES},
    }
    write_json(path / "run.json", run)
    finish_creation(path, config, plan)


def finish_creation(path: Path, config: dict[str, Any], plan: pd.DataFrame) -> None:
    """Write the fixed files that are not there yet, or no longer whole (a process may have been killed, or a machine)."""
    if not _holds(path, config):
        write_text(path / "config.yaml", yaml.safe_dump(config, sort_keys=True, allow_unicode=True))
    if not is_readable(path / "plan.parquet"):
        _write_plan(path, plan)
    for name in FOLDERS:
        (path / name).mkdir(exist_ok=True)


def _holds(path: Path, config: dict[str, Any]) -> bool:
    try:
        return read_config(path) == config
    except RunFolderError:
        return False


def is_readable(path: Path) -> bool:
    """Return whether there is a Parquet file that was not cut off: what describes it stands at its end."""
    try:
        with pq.ParquetFile(path):
            return True
    except (OSError, pa.ArrowException):
        return False


def _write_plan(path: Path, plan: pd.DataFrame) -> None:
    extra = [name for name in plan.columns if name not in PLAN_SCHEMA.names]
    table = pa.Table.from_pandas(plan[PLAN_SCHEMA.names], schema=PLAN_SCHEMA, preserve_index=False)
    for name in extra:
        table = table.append_column(name, pa.array(plan[name]))
    write_table(path / "plan.parquet", table.replace_schema_metadata(None))


def grow(path: Path, plan: pd.DataFrame) -> None:
    """Replace the plan by a longer one that begins with it, then tell ``run.json``.

    Raises:
        RunFolderError: if it does not begin with it; the folder is left untouched.
    """
    run = read_run(path)
    if plan_hash(plan.iloc[: run["planned"]]) != run["plan_hash"]:
        raise RunFolderError(
            f"{path}: a longer plan must begin with the one that is there; the folder was left untouched"
        )
    if len(read_plan(path)) != len(plan):  # else a killed process had come this far
        _write_plan(path, plan)
    write_json(path / "run.json", {**run, "planned": len(plan), "plan_hash": plan_hash(plan)})


def read_run(path: Path) -> dict[str, Any]:
    """Return ``run.json``.

    Raises:
        RunFolderError: if the folder is not a run folder, is broken, or has another schema version.
    """
    if not path.is_dir():
        raise RunFolderError(f"{path} is no folder; `simdrive ls runs` lists the runs")
    try:
        run = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{path} is not a run folder (it has no run.json); it was left untouched") from None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}/run.json cannot be read ({error}); the folder was left untouched") from error
    if not isinstance(run, dict) or run.get("format") != FORMAT:
        raise RunFolderError(f"{path}/run.json is not one of simdrive's; the folder was left untouched")
    if run.get("schema") != SCHEMA_VERSION:
        raise RunFolderError(
            f"{path} has schema version {run.get('schema')}, this simdrive reads {SCHEMA_VERSION}; "
            "use the version of simdrive named in its run.json, or another folder"
        )
    lacking = [name for name, kind in _ENTRIES.items() if not isinstance(run.get(name), kind)]
    if lacking:
        raise RunFolderError(f"{path}/run.json lacks {', '.join(lacking)}; restore it or use another folder")
    return run


def read_config(path: Path) -> dict[str, Any]:
    """Return ``config.yaml``.

    Raises:
        RunFolderError: if it is missing or no mapping.
    """
    try:
        config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunFolderError(f"{path}/config.yaml cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise RunFolderError(f"{path}/config.yaml does not hold a mapping")
    return config


def read_plan(path: Path) -> pd.DataFrame:
    """Return ``plan.parquet``.

    Raises:
        RunFolderError: if it is missing or unreadable.
    """
    try:
        plan: pd.DataFrame = pq.read_table(path / "plan.parquet").to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise RunFolderError(
            f"{path}/plan.parquet cannot be read: {error}; the command that this folder was made with mends it"
        ) from error
    missing = [name for name in PLAN_SCHEMA.names if name not in plan.columns]
    if missing:
        raise RunFolderError(f"{path}/plan.parquet lacks the columns {', '.join(missing)}")
    return plan


def part_rows(path: Path) -> list[int]:
    """Return the plan rows of one part of ``episodes/``.

    Raises:
        RunFolderError: if it is unreadable.
    """
    try:
        rows: list[int] = pq.read_table(path, columns=["row"]).column("row").to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); delete it and run the same command again") from error
    return rows


def check_same(path: Path, config: dict[str, Any], plan: pd.DataFrame) -> None:
    """Check that a folder holds this configuration and plan; reads only.

    Raises:
        RunFolderError: with the difference.
    """
    run = read_run(path)
    check_config(path, config)
    if run["plan_hash"] != plan_hash(plan):
        changed = list(_plan_differences(read_plan(path), plan)) if is_readable(path / "plan.parquet") else []
        shown = f":\n{_listed(changed)}" if changed else ""
        raise RunFolderError(
            f"{path} holds another plan although the configuration is the same: the code or files of agents, "
            f"scenarios or simulator have changed since{shown}\nuse a new folder with out=..."
        )


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Yield one line ``dotted.name: old -> new`` per leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            dotted = f"{name}.{key}" if name else str(key)
            if key not in old:
                yield f"{dotted}: (not set) -> {new[key]!r}"
            elif key not in new:
                yield f"{dotted}: {old[key]!r} -> (not set)"
            else:
                yield from differences(old[key], new[key], dotted)
    elif old != new:
        yield f"{name}: {old!r} -> {new!r}"


def _plan_differences(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[str]:
    if len(old) != len(new):
        yield f"{len(old)} planned episodes -> {len(new)}"
    both = min(len(old), len(new))
    changed = old["key"][:both].to_numpy() != new["key"][:both].to_numpy()
    if changed.any():
        row = int(changed.argmax())
        entry = new.iloc[row]
        yield (
            f"{int(changed.sum())} episodes have another key, first row {row} "
            f"({entry['scenario']}, agent {entry['agent']}, {entry['latency']})"
        )


def _listed(lines: list[str]) -> str:
    shown = [f"  {line}" for line in lines[:SHOWN]]
    return "\n".join(shown + ([f"  ... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []))


def check_config(path: Path, config: Mapping[str, Any]) -> None:
    """Check that a folder was made with this configuration, before any work is spent on a plan; reads only.

    Raises:
        RunFolderError: if it is foreign, broken or differs; with the difference.
    """
    config = plain(config)
    if read_run(path)["config_hash"] == digest(config):
        return  # even where config.yaml has suffered
    lines = list(differences(read_config(path), config)) if (path / "config.yaml").is_file() else []
    shown = f":\n{_listed(lines)}\n" if lines else "; "
    raise RunFolderError(
        f"{path} was made with another configuration{shown}"
        "give another folder with out=..., or repeat the command that this folder was made with"
    )
