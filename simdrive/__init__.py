"""simdrive: does a compressed driving model still drive safely at the speed it really reaches on the chip?

Importing the package registers its Gymnasium environments and loads neither torch nor pygame.
"""

from __future__ import annotations

from pathlib import Path

_HERE, _CONTENT = Path(__file__).resolve().parent, ("agents", "scenarios", "metrics", "configs")
if not all((_HERE / name).is_dir() for name in _CONTENT) and (_HERE.parent / "pyproject.toml").is_file():
    __path__.append(str(_HERE.parent))  # a checkout without symbolic links

__version__ = "0.1.0"

from simdrive.envs.register import register_scenarios  # noqa: E402 - only after the fallback above

register_scenarios()
