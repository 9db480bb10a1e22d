"""A whole training run: model, samples, loop, validation; what was best in closed loop is kept beside the newest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from simdrive.agents.language.questions import every_word
from simdrive.compress.charge import charge_on, regrown
from simdrive.compress.checkpoint import load_head
from simdrive.compress.distill.settings import DistillSettings
from simdrive.compress.learner import Learner
from simdrive.compress.processes import Processes, join, started_together, together
from simdrive.compress.remembered import recall, remembered, same_sight
from simdrive.compress.samples import Pictured, Samples, read_samples
from simdrive.compress.settings import TrainSettings
from simdrive.compress.shared_vision import share_vision
from simdrive.compress.supervision import Objective, Supervision
from simdrive.compress.trainer import Hook, Trainer
from simdrive.compress.validate import ClosedLoop, answer_scores, balanced_rows, drive, model_folder, validation_cases
from simdrive.errors import ParameterError
from simdrive.models.build import build_model
from simdrive.models.deepen import deepen
from simdrive.models.folder import CARD, LoadedModel, load_model, read_card, save_model
from simdrive.models.local import LocalModel, device_of, open_model
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import train_tokenizer
from simdrive.models.where import find_model

Say = Callable[[str], None]
VALIDATIONS = "validation.jsonl"


@dataclass(frozen=True)
class TrainRequest:
    """Everything that decides a training run."""

    name: str
    data: tuple[Path, ...]
    out: Path
    shape: VlmShape = VlmShape()  # noqa: RUF009 - frozen
    settings: TrainSettings = field(default_factory=TrainSettings)
    init: Path | None = None
    motion_gain: float = 3.0  # of a model from drawn weights: how older pictures are shown (simdrive.models.processor)
    teachers: Mapping[str, str] = field(default_factory=dict)  # folder or zoo name by capability, or under "" for all
    distill: DistillSettings = field(default_factory=DistillSettings)  # what is taken from them
    deepen: int = 0  # language layers that the model of ``init`` grows to; 0 = stays as it is
    vision: str | None = None  # folder or zoo name of the model whose vision tower one from drawn weights begins with
    remember: Path | None = None  # folder of what frozen towers say of samples (simdrive.compress.remembered)
    keep_teacher: Path | None = None  # folder of what teachers show of batches (simdrive.compress.distill.kept)
    device: str = "auto"
    threads: int = 1  # of torch, in each process
    processes: int = 1  # that train together; torchrun may start them instead
    tensorboard: bool = True
    validate_every: int = 500
    validate_rows: int = 400
    closed_loop: ClosedLoop = ClosedLoop()  # noqa: RUF009 - frozen


def train(request: TrainRequest, say: Say) -> Path:
    """Train, or go on training; return the folder of the best model.

    Raises:
        SimdriveError: if the data, the model to start from or a checkpoint is damaged or does not fit.
    """
    if not started_together():
        request = _fitted(request)
        if request.processes > 1:
            together(request.processes, _one, request)
            return request.out / "best"
    torch.set_num_threads(request.threads)
    processes, device = join(device_of(request.device))
    samples = read_samples(request.data, "train")
    tokenizer, model, processor, parents = _model(request, samples)
    memory = None
    if request.remember is not None:
        memory = remembered(model, processor, samples, request.settings, request.remember, device, processes)
    objective, taught_by = _objective(request, tokenizer, model, processor, device, processes)
    parents = tuple(dict.fromkeys((*parents, *taught_by)))
    trainer = Trainer(
        model, tokenizer, processor, samples, request.settings, request.out, device, processes, objective, memory
    )
    resumed = trainer.resume()
    if not resumed and request.init is not None:
        load_head(request.init.parent, trainer.learner.head)  # a new one would shake the tower until it has caught up
    count = sum(p.numel() for p in model.parameters())
    if processes.rank == 0:
        say(f"{request.name}: {count:,} weights, {len(samples):,} samples, step {trainer.step} of {request.settings.steps}"
            + (" (continued)" if resumed else ""))  # fmt: skip
    board = _Board(request.out if request.tensorboard and processes.rank == 0 else None, trainer)
    hooks: tuple[tuple[int, Hook], ...] = ((request.settings.log_every, board),)
    validation: _Validation | None = None
    if request.validate_every and processes.rank == 0:
        validation = _Validation(request, trainer, tokenizer, parents, say, board)
        hooks += ((request.validate_every, validation),)
    trainer.run(hooks=hooks)
    if validation is not None and validation.newest() != trainer.step:  # a run that was stopped while it was judged
        validation(trainer.step, model.eval())
    if processes.rank == 0 and not (request.out / "best").is_dir():
        _export(request, trainer, tokenizer, parents, {}, request.out / "best")
    return request.out / "best"


def _fitted(request: TrainRequest) -> TrainRequest:
    """Return the same training with no more processes than there are GPUs, if it runs on them.

    One process then takes in turns what several would have taken at once.
    """
    if device_of(request.device) != "cuda" or request.processes <= torch.cuda.device_count():
        return request
    settings = replace(request.settings, accumulate=request.settings.accumulate * request.processes)
    return replace(request, processes=1, settings=settings)


def _one(say: Say, request: TrainRequest) -> None:
    train(request, say)


def _model(request: TrainRequest, samples: Samples) -> tuple[Any, Any, Processor, tuple[str, ...]]:
    shown = samples.pictured
    if request.init is None:
        if request.deepen:
            raise ParameterError("deepen grows the model of init; without one say shape.text_layers")
        kept = request.out / "tokenizer.json"
        elder = request.vision or next(iter(sorted(request.teachers.values())), None)
        tokenizer: Any = load_model(find_model(elder)).tokenizer if elder else train_tokenizer(every_word() * 3)
        if kept.is_file():  # words may have come to the language since
            from transformers import PreTrainedTokenizerFast

            tokenizer = PreTrainedTokenizerFast.from_pretrained(request.out, local_files_only=True)
        else:
            tokenizer.save_pretrained(request.out)
        shape = replace(request.shape, frames=len(shown.frame_offsets_us))  # as many pictures as the samples show
        model, gain = build_model(shape, tokenizer, request.settings.seed), request.motion_gain
        if request.vision is None:
            return tokenizer, model, Processor.of(shape, shown.cameras, shown.frame_offsets_us, gain), ()
        seeing = _loaded(find_model(request.vision), shown)
        share_vision(model, seeing.model, request.vision)
        return tokenizer, model, seeing.processor, (seeing.card.name,)
    if request.vision is not None:
        raise ParameterError("vision is for a model from drawn weights; the model of init has its own")
    loaded = _loaded(request.init, shown)
    if request.deepen:
        deepen(loaded.model, request.deepen)
    return loaded.tokenizer, loaded.model, loaded.processor, (loaded.card.name,)


def _loaded(folder: Path, shown: Pictured) -> LoadedModel:
    loaded = load_model(folder)
    if (loaded.processor.cameras, loaded.processor.frame_offsets_us) != (shown.cameras, shown.frame_offsets_us):
        raise ParameterError(f"{folder} sees other pictures than the samples show; make data with its cameras")
    return loaded


def _objective(
    request: TrainRequest, tokenizer: Any, model: Any, processor: Processor, device: str, processes: Processes
) -> tuple[Callable[[Supervision, Learner], Objective] | None, tuple[str, ...]]:
    """Return what builds the objective of a distillation, and its teachers' names; None for supervision alone."""
    if not request.teachers:
        return None, ()
    from simdrive.compress.distill.objective import Distillation
    from simdrive.compress.distill.sight import sight_of

    opened: dict[str, Any] = {name: open_model(name, device=device) for name in sorted(set(request.teachers.values()))}
    for name, teacher in opened.items():
        if teacher.tokenizer.get_vocab() != tokenizer.get_vocab():
            raise ParameterError(f"teacher {name} and student have different tokenizers; train them with the same one")
        if request.remember is not None:
            _recalling(teacher, name, model, processor)
    models = {capability: opened[name].model for capability, name in request.teachers.items()}
    sights = {capability: sight_of(processor, opened[name]) for capability, name in request.teachers.items()}

    def build(supervision: Supervision, learner: Learner) -> Objective:
        return Distillation(
            supervision,
            learner,
            models,
            request.distill,
            request.settings.seed,
            processes,
            sights,
            request.keep_teacher,
        )

    return build, tuple(teacher.card.name for teacher in opened.values())


def _recalling(teacher: LoadedModel, name: str, student: Any, processor: Processor) -> None:
    """Make a teacher see by the student's memory."""
    if teacher.processor != processor or not same_sight(student, teacher.model):
        raise ParameterError(
            f"remember keeps what the student's tower says, and teacher {name} sees by another; leave remember out"
        )
    recall(teacher.model)


class _Board:
    """Copies the newest line of the log to TensorBoard."""

    def __init__(self, out: Path | None, trainer: Trainer) -> None:
        self._trainer, self._writer = trainer, None
        if out is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=trainer.step)

    def __call__(self, step: int, model: torch.nn.Module) -> None:
        last = self._trainer.last
        self.write(step, {name: last[name] for name in ("loss", "rate", "samples_per_s") if name in last})

    def write(self, step: int, values: dict[str, float]) -> None:
        """Write scalars of one step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()


class _Validation:
    """Scores the model of a step, exports it, and keeps it as the best if it fails least in closed loop."""

    def __init__(
        self, request: TrainRequest, trainer: Trainer, tokenizer: Any, parents: Sequence[str], say: Say, board: _Board
    ) -> None:
        self._request, self._trainer, self._tokenizer = request, trainer, tokenizer
        self._parents, self._say, self._board = parents, say, board
        self._samples: Samples = read_samples(request.data, "validation")
        self._rows = balanced_rows(self._samples, request.validate_rows)
        self._known = validation_cases(request.closed_loop) if request.closed_loop.cases else []

    def newest(self) -> int:
        """Return the step that was validated last; -1 if none was."""
        log = self._request.out / VALIDATIONS
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        return int(json.loads(lines[-1])["step"]) if lines else -1

    def __call__(self, step: int, model: torch.nn.Module) -> None:
        from simdrive.agents.vlm import Vlm

        blind = self._request.settings.blind
        folder = model_folder(self._request.out)
        _export(self._request, self._trainer, self._tokenizer, self._parents, {}, folder)
        local = LocalModel(open_model(str(folder), device=self._request.device))
        scores: dict[str, Any] = {"step": step, "answers": answer_scores(local, self._samples, self._rows, blind=blind)}
        if self._known:
            settings = self._request.closed_loop
            agent = Vlm(str(folder), device=self._request.device, blind=blind, **settings.driver)
            scores["driving"] = drive(agent, self._known, settings)
        _export(self._request, self._trainer, self._tokenizer, self._parents, scores, folder)
        if _better(scores, self._request.out / "best"):
            _replaced(self._request.out / "best", folder)
        with (self._request.out / VALIDATIONS).open("a") as log:
            log.write(json.dumps(scores) + "\n")
        self._board.write(step, _flat(scores))
        self._say(_line(scores))


def _replaced(folder: Path, source: Path) -> None:
    """Put a copy of ``source`` in the place of ``folder``, whole or not at all."""
    made = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(source, made)
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)


def _export(
    request: TrainRequest,
    trainer: Trainer,
    tokenizer: Any,
    parents: Sequence[str],
    scores: dict[str, Any],
    folder: Path,
) -> None:
    settings = request.settings
    data = {
        "folders": [path.name for path in request.data], "samples": len(trainer.samples), "steps": trainer.step,
        "batch": trainer.batch, "blind": settings.blind,
        "learning_rate": settings.learning_rate, "seed": settings.seed,
    }  # fmt: skip
    if request.teachers:
        data["distill"] = asdict(request.distill)
    charge = {} if request.init is None else _left(request.init, request.deepen)
    if charge:
        data["charge"] = charge
    save_model(
        folder, trainer.model, tokenizer, trainer.processor, request.name, parents=parents, data=data, scores=scores
    )


def _left(init: Path, layers: int) -> dict[str, Any]:
    """Return what compression had left of the model that training began with; a released one has no card."""
    return regrown(charge_on(read_card(init)), layers) if (init / CARD).is_file() else {}


def _flat(scores: dict[str, Any]) -> dict[str, float]:
    plan = scores["answers"]["plan"]
    found = {"validation/unparsable": plan["unparsable"], "validation/brakes_found": plan["brakes_found"]}
    found |= {
        f"validation/{name}_balanced": scores["answers"][name]["balanced"]
        for name in scores["answers"]
        if name != "plan"
    }
    found |= {f"validation/speed_error_{k}": value for k, value in enumerate(plan["speed_error_mps"])}
    if "driving" in scores:
        found["validation/failure_rate"] = scores["driving"]["failure_rate"]
    return found


def _line(scores: dict[str, Any]) -> str:
    plan, driving = scores["answers"]["plan"], scores.get("driving")
    drives = "" if driving is None else f"; fails {driving['failures']} of {driving['cases']} cases"
    topics = ", ".join(f"{name} {scores['answers'][name]['exact']:.0%}" for name in scores["answers"] if name != "plan")
    speed = "/".join(f"{value:.2f}" for value in plan["speed_error_mps"])
    return f"step {scores['step']}: speeds off by {speed} m/s, {topics} exact{drives}"


def _better(scores: dict[str, Any], best: Path) -> bool:
    """Tell whether a model beats the best so far: by failures, or by its speeds where nothing is driven."""
    if not (best / "card.json").is_file():
        return True
    before = json.loads((best / "card.json").read_text(encoding="utf-8"))["scores"]
    return _rank(scores) <= _rank(before)


def _rank(scores: dict[str, Any]) -> tuple[float, float]:
    driving, answers = scores.get("driving"), scores.get("answers")
    error = sum(answers["plan"]["speed_error_mps"]) if answers else float("inf")
    return (driving["failure_rate"] if driving else 1.0, error)
