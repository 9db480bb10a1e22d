"""The maps of ``simdrive bench kernels`` in onnxruntime; importing this needs onnx and onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx  # type: ignore[import-not-found,import-untyped,unused-ignore]
import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]
import torch
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found,import-untyped,unused-ignore]
from onnxruntime.quantization import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    QuantType,
    quantize_dynamic,
)
from torch import nn

Run = Callable[[Sequence[torch.Tensor]], None]


def sessions(layers: Sequence[nn.Linear]) -> dict[str, Run]:
    """Return what runs the maps in fp32 and with dynamic int8 (per channel), on as many threads as torch."""
    with tempfile.TemporaryDirectory() as scratch:
        made: dict[str, list[Any]] = {"onnxruntime fp32": [], "onnxruntime int8 (dynamic)": []}
        for number, layer in enumerate(layers):
            plain, small = Path(scratch) / f"{number}.onnx", Path(scratch) / f"{number}.int8.onnx"
            onnx.save(_graph(layer), str(plain))
            quantize_dynamic(plain, small, weight_type=QuantType.QInt8, per_channel=True)
            for row, path in zip(made.values(), (plain, small), strict=True):
                row.append(_session(path))
    return {name: _runner(row) for name, row in made.items()}


def _graph(layer: nn.Linear) -> Any:
    weight = numpy_helper.from_array(layer.weight.T.contiguous().numpy(), "w")
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", layer.in_features])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", layer.out_features])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "linear", [given], [found], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _runner(row: Sequence[Any]) -> Run:
    def run(inputs: Sequence[torch.Tensor]) -> None:
        for number, session in enumerate(row):
            session.run(None, {"x": inputs[number % len(inputs)].numpy()})

    return run
