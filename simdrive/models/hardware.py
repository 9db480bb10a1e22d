"""What torch finds to compute on."""

from __future__ import annotations

import torch


def gpu() -> tuple[bool, str]:
    """Return whether torch sees a GPU, and which, or what there is instead."""
    if not torch.cuda.is_available():
        return False, f"torch {torch.__version__} sees none; models run on the processor"
    return True, f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
