"""The judge: a second opinion for evaluation, which never trains a policy.

It shares neither trunk nor features with the reward models: its linear heads read hidden states of the embedded causal
base model over passages, question and response. A policy that has learnt to exploit the reward models' features has not
learnt to exploit the judge. The trainer refuses it by its purpose (rewards.models.purpose).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from rewards.categories import BUILT_IN, SEGMENT_CATEGORIES, Category
from rewards.compute import compute_device, compute_dtype
from rewards.dataset import PACKAGE, file_digest
from rewards.errors import FgctlError
from rewards.heads.linear import sigmoid
from rewards.models.purpose import JUDGE, Purpose
from rewards.scores import ScoreRequest
from rewards.segmentation import Span, sentences, sub_sentences
from rewards.statistics.calibration import OperatingPoint

if TYPE_CHECKING:
    import torch

Matrix = NDArray[np.float64]

FITTED_JUDGE = PACKAGE / "fitted" / "judge.json"
WEIGHTS = "judge.safetensors"
"""The file beside judge.json: for each category float32 [2 hidden + 1], the bias last."""
LAYER = 18
"""The layer whose hidden states the heads read."""
MAX_PASSAGE_TOKENS = 700
MAX_RESPONSE_TOKENS = 1024
"""Segments of a response beyond this are read as its last token."""


class FittedJudge(BaseModel):
    """`judge.json`: the operating points of the judge, its data, and how well it agrees with people."""

    model_config = ConfigDict(frozen=True)

    version: str
    """The content version of the weights: 12 hexadecimal digits."""
    purpose: Purpose = JUDGE
    trunk: str
    """SHA-256 of the base model's weights, whose hidden states the heads read."""
    layer: int
    operating: dict[Category, OperatingPoint]
    """The threshold from which a segment counts as an error, and how often that is wrong."""
    data: dict[str, str]
    """Name and SHA-256 of the feedback."""
    questions: int
    agreement: dict[str, Any]
    """Cross-validated agreement with people on those questions."""


@dataclass(frozen=True)
class Judgement:
    """The judge's verdict on one response."""

    errors: dict[Category, tuple[bool, ...]]
    """For relevance and factuality, whether each segment is an error."""
    completeness: float
    """Log-odds (Bradley-Terry) of covering more than an average annotated response."""


@dataclass(frozen=True)
class States:
    """Pooled hidden states of one response: the mean over a span's tokens, and its last token's."""

    sub_sentences: Matrix
    """float32 [sub-sentences, 2 hidden]"""
    sentences: Matrix
    response: Matrix
    """float32 [2 hidden]"""


class JudgeTrunk:
    """Reads passages, question and response with the base model."""

    def __init__(self, directory: Path, layer: int = LAYER) -> None:
        """Load the base model in `directory`, its first `layer` layers only."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(directory, split_special_tokens=True)
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=compute_dtype()).eval().model
        model.layers = model.layers[:layer]
        model.norm = torch.nn.Identity()
        self._model = model.to(compute_device())

    def read(
        self, requests: Sequence[ScoreRequest], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> list[States]:
        """The states of each response. Requests with the same question and passages share one pass over them.

        Equal requests are read once. `progress` is called with the number of such passes that are done, and of all.
        """
        groups: dict[tuple[object, ...], list[ScoreRequest]] = {}
        for request in dict.fromkeys(requests):
            groups.setdefault((request.question, request.passages), []).append(request)
        states: dict[ScoreRequest, States] = {}
        for done, members in enumerate(groups.values(), 1):
            states |= zip(members, self._read(members), strict=True)
            progress(done, len(groups))
        return [states[request] for request in requests]

    def _read(self, requests: Sequence[ScoreRequest]) -> list[States]:
        torch = self._torch
        before = self._before(requests[0])
        encoded = [
            self._tokenizer(
                " " + r.response, add_special_tokens=False, return_offsets_mapping=True,
                truncation=True, max_length=MAX_RESPONSE_TOKENS,
            )
            for r in requests
        ]  # fmt: skip
        lengths = [len(e["input_ids"]) for e in encoded]
        ids = torch.zeros(len(requests), max(lengths), dtype=torch.long)
        mask = torch.ones(len(requests), len(before) + max(lengths), dtype=torch.long)
        for i, e in enumerate(encoded):
            ids[i, : lengths[i]] = torch.tensor(e["input_ids"])
            mask[i, len(before) + lengths[i] :] = 0
        device = self._model.device
        with torch.inference_mode():
            cache = self._model(torch.tensor([before], device=device), use_cache=True).past_key_values
            cache.batch_repeat_interleave(len(requests))
            out = self._model(ids.to(device), attention_mask=mask.to(device), past_key_values=cache)
        hidden = out.last_hidden_state.float().cpu()
        return [
            _states(r.response, hidden[i, : lengths[i]], np.array(e["offset_mapping"]) - 1)
            for i, (r, e) in enumerate(zip(requests, encoded, strict=True))
        ]

    def _before(self, request: ScoreRequest) -> list[int]:
        def ids(text: str, limit: int | None = None) -> list[int]:
            encoded = self._tokenizer(text, add_special_tokens=False, truncation=limit is not None, max_length=limit)
            return list(encoded["input_ids"])

        passages = "\n\n".join(f"{p.title}: {p.text}" for p in request.passages)
        question = ids(f"\n\nQuestion: {request.question}\nAnswer:", MAX_PASSAGE_TOKENS)
        return [*ids("Passages:\n"), *ids(passages, MAX_PASSAGE_TOKENS), *question]


def _states(text: str, hidden: "torch.Tensor", offsets: NDArray[np.int64]) -> States:
    """`hidden` is [tokens, hidden]; `offsets` [tokens, 2] are code points of the text."""

    def pool(spans: Sequence[Span]) -> Matrix:
        rows = []
        for a, b in spans:
            inside = np.flatnonzero((offsets[:, 0] < b) & (offsets[:, 1] > a))
            chosen = hidden[inside] if len(inside) else hidden[-1:]
            rows.append(np.concatenate([chosen.mean(0).numpy(), chosen[-1].numpy()]))
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 2 * hidden.shape[1]), dtype=np.float32)

    whole = pool([(0, len(text))])[0]
    return States(pool(sub_sentences(text)), pool(sentences(text)), whole)


class Judge:
    """Judges responses in evaluation."""

    purpose: Purpose = JUDGE

    def __init__(self, fitted: FittedJudge, weights: dict[Category, Matrix], trunk: JudgeTrunk) -> None:
        self.fitted = fitted
        self._weights = weights
        self._trunk = trunk

    @classmethod
    def load(cls, base: Path, path: Path = FITTED_JUDGE) -> "Judge":
        """Load the judge at `path`, by default the shipped one, on the base model in the directory `base`.

        Raises FgctlError when it is missing, damaged, or fitted on another base model.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            fitted = FittedJudge.model_validate_json(path.read_bytes())
            weights = {k: v.astype(np.float64) for k, v in load_file(path.parent / WEIGHTS).items()}
            version = weights_version(path.parent / WEIGHTS)
        except (OSError, ValidationError, SafetensorError) as error:
            raise FgctlError(
                f"The judge in {path.parent} cannot be loaded ({error}); restore it, or leave out the judge."
            ) from None
        if version != fitted.version:
            raise FgctlError(f"{path.parent / WEIGHTS} was changed after it was fitted; restore it.")
        if file_digest(base / "model.safetensors") != fitted.trunk:
            raise FgctlError(
                f"The judge was fitted on another base model than {base}; use the embedded one, or leave out the judge."
            )
        return cls(fitted, weights, JudgeTrunk(base, fitted.layer))

    @property
    def version(self) -> str:
        """The content version of the heads."""
        return self.fitted.version

    def judge(
        self, requests: Sequence[ScoreRequest], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> list[Judgement]:
        """Judge each response. `progress` is called with the numbers of questions that are done, and of all."""
        return [
            Judgement(
                {category: self._errors(category, states) for category in SEGMENT_CATEGORIES},
                float(log_odds(self._weights["completeness"], states.response[None])[0]),
            )
            for states in self._trunk.read(requests, progress)
        ]

    def _errors(self, category: Category, states: States) -> tuple[bool, ...]:
        pieces = states.sub_sentences if BUILT_IN[category].density == "sub-sentence" else states.sentences
        probabilities = sigmoid(log_odds(self._weights[category], pieces))
        return tuple((probabilities >= self.fitted.operating[category].threshold).tolist())


def log_odds(weights: Matrix, states: Matrix) -> Matrix:
    """Log-odds: `weights` [2 hidden + 1], the bias last, and `states` [N, 2 hidden] to [N]."""
    return np.asarray(states.astype(np.float64) @ weights[:-1] + weights[-1])


def weights_version(path: Path) -> str:
    """The content version of the judge's weights: 12 hexadecimal digits."""
    return file_digest(path)[:12]
