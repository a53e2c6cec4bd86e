"""Fits the reader's LoRA adapter and the word head on reference answers, before any feedback.

An interrupted run resumes at its last checkpoint and ends with the same weights as an uninterrupted one.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

from rewards.compute import compute_dtype
from rewards.dataset import Example, question_key
from rewards.errors import FgctlError
from rewards.features.encoder import ENCODER, Encoder, model_directory
from rewards.features.reader import (
    HEAD,
    WORD_HEAD,
    Window,
    WindowBuilder,
    encode_windows,
    reader_version,
    span_log_odds,
)
from rewards.fitting.distant_supervision import PER_QUESTION, PseudoResponse, label_by_reference, make_pseudo_responses
from rewards.fitting.fit_word_head import fit_word_head
from rewards.held_out import without_held_out

_TARGETS = r".*(query|key|value|dense)$"
_POOLER = r".*pooler.*"
_CHECKPOINT = "checkpoint.pt"
_CHECKPOINT_EVERY = 25
_WARM_UP = 0.1


class ReaderRecipe(BaseModel):
    """How the reader is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(16, ge=1)
    """Rank of the adapter, whose scale is 2."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout of the adapter's input; the head's input has twice that."""
    learning_rate: float = Field(7e-4, gt=0)
    """Peak learning rate, reached after a tenth of the steps; it then falls to zero."""
    batch: int = Field(16, ge=1)
    """Responses in each step."""
    per_question: int = Field(PER_QUESTION, ge=1)
    """Pseudo-responses to each question. Each is read once, since a second epoch overfits the questions."""
    seed: int = 0
    """Seed of the pseudo-responses, their order, the adapter's initialisation and dropout."""


def fit_reader(
    examples: Sequence[Example],
    recipe: ReaderRecipe,
    directory: Path,
    data: dict[str, str],
    progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
    answers: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Fit reader and word head on examples with reference answers, without held-out questions; returns their version.

    The files go to `directory`. `progress` is called with each step, the number of steps and the loss. `answers` has a
    policy's answers by question key, which are used beside the pseudo-responses. Raises FgctlError when there is
    nothing to fit on, and at the first loss or gradient that is not finite.
    """
    usable = [e for e in without_held_out(examples) if e.answer.strip() and any(p.text.strip() for p in e.passages)]
    if not usable:
        raise FgctlError("No question has passages and a reference answer to fit on; name another file with --data.")
    directory.mkdir(parents=True, exist_ok=True)
    model, head = _trainable(recipe)
    sampled = [(e, text) for e in usable for text in (answers or {}).get(question_key(e.question), ())]
    encoder = Encoder()
    responses = label_by_reference(
        [*make_pseudo_responses(usable, recipe.seed, recipe.per_question), *sampled], encoder
    )
    run = {"recipe": recipe.model_dump(), "data": data}
    _train(model, head, _windows(responses), recipe, directory / _CHECKPOINT, run, progress)
    words = fit_word_head(usable, encoder)
    model.peft_config["default"].base_model_name_or_path = ENCODER
    model.save_pretrained(directory, save_embedding_layers=False)
    (directory / "README.md").unlink(missing_ok=True)
    save_file({k: v.contiguous() for k, v in head.state_dict().items()}, directory / HEAD)
    (directory / WORD_HEAD).write_text(words.model_dump_json(indent=1) + "\n", encoding="utf-8")
    version = reader_version(directory)
    report = {
        "version": version, "recipe": recipe.model_dump(), "questions": len(usable), "responses": len(responses),
        "data": data,
    }  # fmt: skip
    (directory / "prefit.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (directory / _CHECKPOINT).unlink(missing_ok=True)
    return version


def _trainable(recipe: ReaderRecipe) -> tuple[Any, torch.nn.Linear]:
    torch.manual_seed(recipe.seed)
    base = AutoModel.from_pretrained(model_directory(), dtype=torch.float32)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        lora_dropout=recipe.dropout,
        target_modules=_TARGETS,
        exclude_modules=_POOLER,
    )
    return get_peft_model(base, config), torch.nn.Linear(2 * base.config.hidden_size, 1)


def _windows(responses: Sequence[PseudoResponse]) -> list[tuple[Window, torch.Tensor]]:
    builder = WindowBuilder(AutoTokenizer.from_pretrained(model_directory(), split_special_tokens=True))
    return [
        (window, torch.tensor([r.targets[k] for k in members]))
        for r in responses
        for window, members in builder.build(r.question, r.text, r.spans)
    ]


def batches(lengths: Sequence[int], size: int, seed: int) -> list[list[int]]:
    """Indices in random batches of similar lengths, which need little padding; every index once."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    order = list(range(len(lengths)))
    rng.shuffle(order)
    chunks = [sorted(order[i : i + 8 * size], key=lambda k: (lengths[k], k)) for i in range(0, len(order), 8 * size)]
    cut = [chunk[i : i + size] for chunk in chunks for i in range(0, len(chunk), size)]
    rng.shuffle(cut)
    return cut


def _train(
    model: Any,
    head: torch.nn.Linear,
    pairs: Sequence[tuple[Window, torch.Tensor]],
    recipe: ReaderRecipe,
    checkpoint: Path,
    run: dict[str, Any],
    progress: Callable[[int, int, float], None],
) -> None:
    order = batches([len(window.ids) for window, _ in pairs], recipe.batch, recipe.seed)
    parameters = [p for p in [*model.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=0.01)

    def rate(step: int) -> float:
        return min((step + 1) / (_WARM_UP * len(order) + 1), (len(order) - step) / ((1 - _WARM_UP) * len(order)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    model.train()
    for step in range(_resume(checkpoint, run, model, head, optimizer, schedule), len(order)):
        chunk = [pairs[k] for k in order[step]]
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        with torch.autocast("cpu", torch.bfloat16, enabled=compute_dtype() == torch.bfloat16):
            hidden = encode_windows(model, [window for window, _ in chunk])
        dropped = torch.nn.functional.dropout(hidden, 2 * recipe.dropout)
        logits = span_log_odds(head, dropped, [window for window, _ in chunk])
        labels = torch.cat([targets for _, targets in chunk]).to(logits.dtype)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        if not (loss.isfinite() and norm.isfinite()):
            raise FgctlError(
                f"Step {step + 1} of {len(order)} has a loss of {loss.item():.3g} and a gradient of {norm.item():.3g}, "
                f"so no reader is stored; check that the encoder's weights are finite, or lower the learning rate."
            )
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        progress(step + 1, len(order), loss.item())
        if (step + 1) % _CHECKPOINT_EVERY == 0:
            _save_checkpoint(checkpoint, run, step + 1, model, head, optimizer, schedule)
    model.eval()


def _save_checkpoint(
    path: Path, run: dict[str, Any], step: int, model: Any, head: Any, optimizer: Any, schedule: Any
) -> None:
    state = {
        "run": run, "step": step,
        "adapter": get_peft_model_state_dict(model, save_embedding_layers=False),
        "head": head.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
    }  # fmt: skip
    scratch = path.with_suffix(".new")
    torch.save(state, scratch)
    scratch.replace(path)


def _resume(path: Path, run: dict[str, Any], model: Any, head: Any, optimizer: Any, schedule: Any) -> int:
    """The step to resume at: 0 without a checkpoint of the same recipe and data."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state.get("run") != run:
        return 0
    set_peft_model_state_dict(model, state["adapter"])
    head.load_state_dict(state["head"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["step"])
