"""Training by several processes under torchrun, and by one after them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHAPE = {"text_width": 32, "text_layers": 1, "text_heads": 2, "text_kv_heads": 1, "text_ffn": 48, "vision_width": 16,
         "vision_layers": 1, "vision_heads": 2, "vision_ffn": 24}  # fmt: skip


def run(*words: str) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env, timeout=600)
    assert found.returncode == 0, found.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_train_one_model_and_one_goes_on(tmp_path: Path) -> None:
    suite = tmp_path / "short.yaml"
    suite.write_text("name: short\nversion: 1\nseed: 1\nentries: [{scenario: lead_braking, cases: 2}]\n")
    data, out = tmp_path / "data", tmp_path / "out"
    run("-m", "simdrive", "data", f"suite={suite}", "cases=2", "control=0", f"out={data}")
    words = ["simdrive", "train", f"data=[{data}]", f"out={out}", "device=cpu", "tensorboard=false", "train.batch=2",
             "train.log_every=1", "train.dense=0.5", "train.see_first=1", "validate.every=0",
             *(f"shape.{name}={value}" for name, value in SHAPE.items())]  # fmt: skip
    run("-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29411", "-m", *words, "train.steps=3")
    card = json.loads((out / "best" / "card.json").read_text())
    assert card["data"]["batch"] == 4  # two of each process
    assert card["data"]["steps"] == 3
    (out / "best").rename(tmp_path / "first")
    run("-m", *words, "train.steps=4", "processes=2")
    run("-m", *words, "train.steps=5")
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5]
    assert json.loads((out / "best" / "card.json").read_text())["weight_hash"] != card["weight_hash"]
