"""Which weights Muon moves, and how."""

from pathlib import Path

import pytest
import torch
from test_compress_trainer import TINY, trainer

from simdrive.compress.optimizers import Muon, orthogonal
from simdrive.errors import UnknownNameError
from simdrive.models.shape import VlmShape


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (8, 8)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    stretched = left @ torch.diag(torch.linspace(1.0, 0.05, min(shape))) @ right
    found = left.T @ orthogonal(stretched) @ right.T
    values = found.diagonal()
    assert ((values > 0.65) & (values < 1.25)).all()
    assert (found - values.diag()).abs().max() < 1e-5
    assert not orthogonal(torch.zeros(*shape)).any()
    rough = orthogonal(stretched, torch.bfloat16)
    assert rough.dtype == matrix.dtype
    assert (rough - orthogonal(stretched)).abs().max() < 0.05


def test_steps_are_those_of_torch_but_for_its_rounding() -> None:
    start, rng = torch.randn(16, 40, generator=torch.Generator().manual_seed(2)), torch.Generator().manual_seed(3)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    own = Muon([ours], weight_decay=0.1)
    own.param_groups[0]["lr"] = 0.02
    other = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        ours.grad = torch.randn(16, 40, generator=rng)
        theirs.grad = ours.grad.clone()
        own.step()
        other.step()
    moved = (ours - start).abs().max()
    assert (ours - theirs).abs().max() < 0.03 * moved  # it works in bfloat16


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_every_weight_is_moved_by_one_optimizer(family: str, tmp_path: Path) -> None:
    shape = VlmShape(**{**vars(TINY), "family": family})
    found = trainer(tmp_path, "out", shape, muon=("vision", "projector"), freeze=("projector",), dense=0.0)
    adam, muon = ([p for g in one.param_groups for p in g["params"]] for one in found.optimizers)
    trained = [p for p in found.learner.parameters() if p.requires_grad]
    assert sorted(map(id, adam + muon)) == sorted(map(id, trained))
    names = {id(p): name for name, p in found.model.named_parameters()}
    assert muon
    assert all(("vision_tower" in names[id(p)] or "visual" in names[id(p)]) and p.ndim == 2 for p in muon)
    before = [p.detach().clone() for p in trained]
    found.run(until=2)
    assert sum(torch.equal(a, b) for a, b in zip(before, trained, strict=True)) < len(trained) // 4


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="wheels"):
        trainer(tmp_path, "out", muon=("wheels",))
