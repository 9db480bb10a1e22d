"""A study from plain options: which model, which samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from simdrive.compress.layer_study.result import LayerStudy
from simdrive.compress.layer_study.study import study_layers
from simdrive.compress.samples import read_samples
from simdrive.compress.validate import balanced_rows
from simdrive.errors import ParameterError
from simdrive.models.local import open_model


def study_folder(options: Mapping[str, Any], say: Callable[[str], None]) -> LayerStudy:
    """Return the study of the model and samples that options name (those of ``simdrive study layers``).

    Raises:
        UnknownNameError, ModelFolderError: if the model does not exist or is damaged.
        ParameterError, SimdriveError: if the samples are too few, or not what the model wants to see.
    """
    torch.set_num_threads(int(options["threads"]))
    loaded = open_model(str(options["model"]), str(options["dtype"]), str(options["device"]))
    samples = read_samples([Path(folder) for folder in options["data"]], str(options["split"]))
    chosen = balanced_rows(samples, int(options["rows"]), int(options["seed"]))
    if len(chosen) < 2:
        raise ParameterError(
            f"the data hold {len(samples)} samples of the {options['split']} split, of which {len(chosen)} can be taken in "
            "equal parts of critical and calm ones; take another split=, or more data"
        )
    return study_layers(
        loaded, samples, chosen, batch=int(options["batch"]), redraws=int(options["redraws"]), seed=int(options["seed"]),
        longest=int(options["answer_tokens"]), say=say,
    )  # fmt: skip
