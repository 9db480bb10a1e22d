"""Packages that only some ways to run need: an absent one ends the command with the line that installs it."""

from __future__ import annotations

import importlib
from typing import Any

from simdrive.errors import SimdriveError


def need_extra(package: str) -> Any:
    """Return a package that is an extra of the same name.

    Raises:
        SimdriveError: if it is not installed; says how to get it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise SimdriveError(
            f"{package} is not installed: pip install -c constraints.txt 'simdrive[{package}]'; "
            "or leave backend=... out: the processes of one machine need nothing more"
        ) from error
