"""Importance against naive references, what is chosen by it, and which weights go."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_compress_samples import PICTURED, written
from test_compress_trainer import TINY, TOKENIZER

from simdrive.compress.batches import Batch, Batches
from simdrive.compress.learner import Learner
from simdrive.compress.prune.cutting import chosen, cut_to, heads_left, layers_left, sizes_of
from simdrive.compress.prune.importance import Felt, activation, taylor
from simdrive.compress.prune.safe import conflicts, safe
from simdrive.compress.prune.scores import PartScores, magnitude
from simdrive.compress.prune.settings import KEPT, PruneSettings, Sizes, after_round, sparsity_after, target
from simdrive.compress.prune.sparse import hold, matrices, sparsify, sparsity_of, zeros
from simdrive.compress.settings import TrainSettings
from simdrive.compress.supervision import Supervision
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.anatomy import TEXT, VISION, layers_of
from simdrive.models.build import build_model
from simdrive.models.chat import Chat
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape

FAMILIES = ["internvl", "qwen2_5_vl"]
DEVICE = torch.device("cpu")


def model_of(family: str, layers: int = 2) -> Any:
    return build_model(VlmShape(**{**vars(TINY), "family": family, "text_layers": layers}), TOKENIZER, seed=3)


def asked(model: Any, family: str, folder: Path, count: int) -> tuple[Batch, Any]:
    samples, shape = written(folder, 24), VlmShape(**{**vars(TINY), "family": family})
    processor = Processor.of(shape, PICTURED.cameras, PICTURED.frame_offsets_us)
    chat, settings = Chat(TOKENIZER, processor.slots), TrainSettings(batch=count, augment=False, lessons={"plan": 1.0})
    supervision, learner = Supervision(chat, model, samples, settings, DEVICE), Learner(model)
    batch = Batches(samples, chat, processor, settings, DEVICE)(0)
    return batch, lambda given: supervision.loss_and_logits(learner, given, 0)[0]


def gradient(weight: torch.Tensor) -> torch.Tensor:
    assert weight.grad is not None
    return weight.grad


@pytest.mark.parametrize("family", FAMILIES)
def test_taylor_is_the_sum_of_weight_times_gradient(family: str, tmp_path: Path) -> None:
    """For one sample a unit's first-order change is that of setting the weights that read it to zero."""
    model = model_of(family)
    batch, loss = asked(model, family, tmp_path, 1)
    felt = taylor(model, [batch], loss)
    assert all(p.grad is None for p in model.parameters())
    loss(batch).backward()
    for part in (TEXT, VISION):
        for layer in layers_of(model, part):
            out, narrow = (w.detach() * gradient(w) for w in (layer.out.weight, layer.narrowing.weight))
            for head in range(layer.heads):
                columns = range(head * layer.head_width, (head + 1) * layer.head_width)
                naive = abs(sum(float(out[:, c].sum()) for c in columns))
                assert float(felt.scores[part].heads[layer.number, head]) == pytest.approx(naive, rel=1e-3, abs=1e-8)
            for c in range(0, layer.ffn, 7):
                naive = abs(float(narrow[:, c].sum()))
                assert float(felt.scores[part].ffn[layer.number, c]) == pytest.approx(naive, rel=1e-3, abs=1e-8)
    assert all(torch.allclose(felt.gradients[p], p.grad, atol=1e-7) for p in felt.gradients)


def test_taylor_counts_every_sample_by_itself(tmp_path: Path) -> None:
    model = model_of("internvl")
    batch, loss = asked(model, "internvl", tmp_path, 2)
    both = taylor(model, [batch], loss).scores
    layer = layers_of(model, VISION)[0]
    kept: list[torch.Tensor] = []
    hook = layer.narrowing.register_forward_pre_hook(lambda module, given: kept.append(given[0]))
    value = loss(batch)
    (gradient,) = torch.autograd.grad(value, kept[:1])
    hook.remove()
    values = kept[0].detach()
    tiles = len(values) // 2
    naive = sum(
        (values[s * tiles : (s + 1) * tiles] * gradient[s * tiles : (s + 1) * tiles]).sum((0, 1)).abs() for s in (0, 1)
    )
    torch.testing.assert_close(both[VISION].ffn[0], naive / 2, rtol=1e-3, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_magnitude_sums_the_weights_of_a_unit(family: str) -> None:
    model = model_of(family)
    found = magnitude(model)
    layer = layers_of(model, TEXT)[1]
    module: Any = layer.module
    at: Any = layer.attention
    mlp, d = module.mlp, layer.head_width
    head = sum(float(at.q_proj.weight[r].abs().sum() + at.o_proj.weight[:, r].abs().sum()) for r in range(d, 2 * d))
    head += sum(float(m.weight[r].abs().sum()) for m in (at.k_proj, at.v_proj) for r in range(d)) / 2.0  # shared by two
    assert float(found[TEXT].heads[1, 1]) == pytest.approx(head, rel=1e-5)
    parts = (mlp.gate_proj.weight[5], mlp.up_proj.weight[5], mlp.down_proj.weight[:, 5])
    assert float(found[TEXT].ffn[1, 5]) == pytest.approx(float(sum(p.abs().sum() for p in parts)), rel=1e-5)
    whole = sum(float(m.weight.abs().sum()) for m in layer.module.modules() if isinstance(m, torch.nn.Linear))
    assert float(found[TEXT].layers[1]) == pytest.approx(whole, rel=1e-5)
    eye = layers_of(model, VISION)[0]
    every = sum(float(m.weight.abs().sum()) for m in eye.attention.modules() if isinstance(m, torch.nn.Linear))
    assert float(found[VISION].heads[0].sum()) == pytest.approx(every, rel=1e-5)


def test_activation_weighs_what_flows(tmp_path: Path) -> None:
    model = model_of("internvl")
    batch, loss = asked(model, "internvl", tmp_path, 3)
    found = activation(model, [batch, batch], loss)
    layer, kept = layers_of(model, TEXT)[0], []
    streams: list[torch.Tensor] = []
    layer.narrowing.register_forward_pre_hook(lambda module, given: kept.append(given[0]))
    layer.module.register_forward_hook(lambda module, given, out: streams.extend((given[0], out)))
    with torch.no_grad():
        loss(batch)
    there = batch.text.mask.bool()
    for c in (0, 17):
        naive = kept[0][there][:, c].square().mean().sqrt() * layer.narrowing.weight.detach()[:, c].norm()
        assert float(found[TEXT].ffn[0, c]) == pytest.approx(float(naive), rel=1e-4)
    cosine = torch.cosine_similarity(streams[0][there], streams[1][there], dim=-1)
    assert float(found[TEXT].layers[0]) == pytest.approx(float((1 - cosine).mean()), rel=1e-3)
    with pytest.raises(ParameterError, match="at least one batch"):
        activation(model, [], loss)


def hand_made(model: Any, pull: float) -> Felt:
    """Gradients along one inner channel of the last language layer, and even scores but for that channel."""
    layer = layers_of(model, TEXT)[-1]
    gradient = torch.zeros_like(layer.narrowing.weight)
    gradient[:, 3] = pull
    gradient[:, 4] = 1.0
    scores = {
        part: PartScores(
            torch.ones(len(layers_of(model, part))),
            torch.ones(len(layers_of(model, part)), layers_of(model, part)[0].heads),
            torch.ones(len(layers_of(model, part)), layers_of(model, part)[0].ffn),
        )
        for part in (TEXT, VISION)
    }
    scores[TEXT].ffn[-1] = torch.tensor([3.0, 4.0] + [0.0] * (layer.ffn - 2)) if pull > 0 else torch.zeros(layer.ffn)
    return Felt(scores, {layer.narrowing.weight: gradient})


def test_conflicts_by_hand() -> None:
    model = model_of("internvl")
    three = {"a": hand_made(model, 1.0), "b": hand_made(model, -2.0), "c": hand_made(model, 5.0)}
    apart = conflicts(model, three)[TEXT].ffn[-1]
    assert apart[3] == pytest.approx(2 / 3)  # a-b and b-c are opposed, a-c agree
    assert apart[4] == 0.0
    assert apart[5] == 0.0  # nothing pulls there
    scores = safe(model, three, conflict=0.6)[TEXT].ffn[-1]
    assert scores[0] == pytest.approx(3 / 5)  # length one within the layer, best of the capabilities
    assert scores[1] == pytest.approx(4 / 5)
    assert scores[3] == pytest.approx(-0.6 * 2 / 3)
    assert conflicts(model, {"a": hand_made(model, 1.0)})[TEXT].ffn.abs().max() == 0.0
    assert safe(model, {"a": three["a"]}, 9.0)[TEXT].ffn[-1, 1] == pytest.approx(4 / 5)


def test_groups_stay_balanced_and_the_best_heads_stay() -> None:
    scores = torch.tensor([5.0, 1.0, 4.0, 9.0, 8.0, 0.0, 2.0, 7.0])
    assert heads_left(scores, 2, 2, 4) == ([0, 3, 4, 7], [0, 1])
    assert heads_left(scores, 2, 1, 3) == ([0, 2, 3], [0])  # 9 + 5 + 4 beats 8 + 7 + 2
    assert heads_left(scores, 4, 2, 4) == ([2, 3, 6, 7], [1, 3])
    assert heads_left(torch.ones(4), 2, 2, 2) == ([0, 2], [0, 1])  # the first of equal ones
    one = PartScores(torch.ones(1), scores[None], torch.tensor([[3.0, 1.0, 2.0]]))
    assert chosen(one, 0, 2, (4, 2, 2)).inner == (0, 2)


def test_layers_by_score_and_by_name() -> None:
    scores = torch.tensor([1.0, 5.0, 3.0, 4.0])
    assert layers_left("text", scores, 2) == [1, 3]
    assert layers_left("text", scores, 2, protect=("text.0", "vision.1")) == [0, 1]
    assert layers_left("text", scores, 4, drop=("text.1", "vision.0")) == [0, 2, 3]
    with pytest.raises(ParameterError, match="every text layer"):
        layers_left("text", scores, 2, drop=[f"text.{k}" for k in range(4)])
    with pytest.raises(ParameterError, match="3 text layers are protected, but only 2"):
        layers_left("text", scores, 2, protect=("text.0", "text.1", "text.2"))


def test_targets_and_rounds() -> None:
    before = Sizes(8, 8, 2, 100, 4, 4, 64)
    end = target(before, PruneSettings(keep={"text_heads": 0.75, "text_ffn": 0.5, "vision_layers": 0.5}))
    assert end == Sizes(8, 6, 2, 48, 2, 4, 64)
    half = after_round(before, end, 1, 2)
    assert half == Sizes(8, 6, 2, 69, 3, 4, 64)
    assert after_round(before, end, 2, 2) == end
    assert target(before, PruneSettings(keep={"text_kv_heads": 0.5})).text_heads == 4
    assert sparsity_after(PruneSettings(sparsity=0.8, rounds=2), 1) == pytest.approx(0.7)
    for keep, text in (({"text_heads": 0.1}, "text_heads=0.1 leaves nothing of 4"),
                       ({"vision_ffn": 0.01}, "multiples of 8; the smallest share is 0.125")):  # fmt: skip
        with pytest.raises(ParameterError, match=text):
            target(before, PruneSettings(keep=keep))
    assert set(KEPT) == set(vars(before))


@pytest.mark.parametrize(
    ("fields", "kind", "text"),
    [
        ({"keep": {"text_headz": 0.5}}, UnknownNameError, "text_heads"),
        ({"keep": {"text_heads": 0.0}}, ParameterError, "nothing would be left"),
        ({"keep": {"text_heads": 1.5}}, ParameterError, "at most 1"),
        ({"importance": "luck"}, UnknownNameError, "luck"),
        ({"capabilities": ("perseption",)}, UnknownNameError, "Did you mean 'perception'"),
        ({"capabilities": ()}, ParameterError, "at least one"),
        ({"sparsity": 1.0}, ParameterError, "below 1"),
        ({"scope": "galaxy"}, UnknownNameError, "galaxy"),
        ({"rounds": 0}, ParameterError, "at least 1"),
        ({"drop": ("text.1",), "protect": ("text.1",)}, ParameterError, "both dropped and protected"),
    ],
)
def test_wrong_settings_are_refused(fields: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        PruneSettings(**fields)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_reaches_its_sizes(family: str) -> None:
    model = model_of(family, layers=3)
    end = Sizes(2, 2, 1, 24, 1, 1, 8)
    left = cut_to(model, magnitude(model), end, protect=("text.2",))
    assert sizes_of(model) == end
    assert left[TEXT][-1] == 2
    with pytest.raises(UnknownNameError, match=r"text\.7"):
        cut_to(model, magnitude(model), end, drop=("text.7",))


def test_the_smallest_weights_go_and_do_not_come_back() -> None:
    model = model_of("internvl")
    before = {id(w): w.detach().clone() for w in matrices(model)}
    masks = sparsify(model, 0.5)
    for weight in matrices(model):
        old = before[id(weight)].abs().flatten()
        gone = sorted(range(len(old)), key=lambda k: (float(old[k]), k))[: len(old) // 2]
        expected = torch.zeros(len(old), dtype=torch.bool)
        expected[gone] = True
        assert torch.equal(masks[weight].flatten(), expected)
    assert sparsity_of(model) == pytest.approx(0.5, abs=1e-3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    for _ in range(2):
        for weight in model.parameters():
            weight.grad = torch.ones_like(weight)
        hold(masks)
        optimizer.step()
    assert all(torch.equal(weight == 0, mask) for weight, mask in masks.items())
    assert zeros(model).keys() == masks.keys()


def test_over_the_whole_model_large_matrices_of_small_weights_lose_more() -> None:
    model = model_of("internvl")
    layer = layers_of(model, TEXT)[0]
    layer.narrowing.weight.data.fill_(9.0)
    masks = sparsify(model, 0.3, "model")
    assert layer.narrowing.weight not in masks
    assert sparsity_of(model) == pytest.approx(0.3, abs=1e-4)
    with pytest.raises(UnknownNameError, match="galaxy"):
        sparsify(model, 0.3, "galaxy")
