"""The reader: the encoder with a LoRA adapter, which reads a question and a response together.

The sentence encoder sees each segment by itself. The reader sees it in its response and with the question, and predicts
how likely a good answer is to contain its content. It is fitted on questions with reference answers only
(rewards.fitting.fit_reader), which leaves all human feedback on responses to the heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rewards.compute import compute_device, compute_dtype
from rewards.dataset import PACKAGE, file_digest
from rewards.errors import FgctlError
from rewards.features.encoder import model_directory
from rewards.heads.linear import LinearHead
from rewards.heads.stored_json import content_version
from rewards.segmentation import Span, sentences

if TYPE_CHECKING:
    import torch

Matrix = NDArray[np.float64]

FITTED_READER = PACKAGE / "fitted" / "reader"
HEAD = "head.safetensors"
WORD_HEAD = "words.json"
ADAPTER = "adapter_model.safetensors"
MAX_TOKENS = 320
"""Tokens of question and response in one window; a longer response is read in windows of whole sentences."""
MAX_QUESTION_TOKENS = 48
_BATCH = 32


@dataclass(frozen=True)
class Window:
    """The tokens of one forward pass, and the positions of segments in them."""

    ids: tuple[int, ...]
    response_from: int
    """Index of the first token of the response."""
    ranges: tuple[tuple[int, int], ...]
    """Token range of each segment, end exclusive."""


class WindowBuilder:
    """Cuts a question and a response into windows of limited length."""

    def __init__(self, tokenizer: Any, max_tokens: int = MAX_TOKENS) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    def build(self, question: str, response: str, spans: Sequence[Span]) -> list[tuple[Window, list[int]]]:
        """Windows over the response, each with the indices of its spans; every span is in exactly one window.

        `spans` are in code points, each inside one sentence. A sentence that is too long for a window is cut; a span
        beyond the cut is read as the last token before it.
        """
        tokenizer = self._tokenizer
        question_tokens = tokenizer(question, add_special_tokens=False, truncation=True, max_length=MAX_QUESTION_TOKENS)
        before = [tokenizer.cls_token_id, *question_tokens["input_ids"], tokenizer.sep_token_id]
        room = self._max_tokens - len(before) - 1
        if not spans:
            return []
        encoded = tokenizer(response, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        starts = np.array([a for a, _ in offsets], dtype=np.int64)
        windows = []
        for first, last, members in _groups(sentences(response), spans, starts, room):
            chosen = list(range(first, min(last, first + room))) or [min(first, max(0, len(ids) - 1))]
            window_ids = [ids[i] for i in chosen] if ids else [tokenizer.unk_token_id]
            ranges = []
            for k in members:
                a, b = spans[k]
                low, high = np.searchsorted(starts, [a, b])
                low = min(max(int(low) - first, 0), len(window_ids) - 1)
                high = min(max(int(high) - first, low + 1), len(window_ids))
                ranges.append((len(before) + low, len(before) + high))
            window = Window((*before, *window_ids, tokenizer.sep_token_id), len(before), tuple(ranges))
            windows.append((window, members))
        return windows


def _groups(
    whole: Sequence[Span], spans: Sequence[Span], starts: NDArray[np.int64], room: int
) -> list[tuple[int, int, list[int]]]:
    """Runs of sentences of at most `room` tokens: first token, end token (exclusive), indices of the spans inside."""
    groups: list[tuple[int, int, list[int]]] = []
    for a, b in whole:
        low, high = (int(i) for i in np.searchsorted(starts, [a, b]))
        inside = [k for k, (start, end) in enumerate(spans) if a <= start and end <= b]
        if groups and high - groups[-1][0] <= room:
            first, _, earlier = groups[-1]
            groups[-1] = (first, high, earlier + inside)
        else:
            groups.append((low, high, inside))
    return [group for group in groups if group[2]]


class Reader:
    """Reads responses with the adapter in a directory, by default the shipped one."""

    def __init__(self, directory: Path = FITTED_READER) -> None:
        """Load the encoder and merge the adapter into it.

        Raises FgctlError when the encoder's package or the adapter is missing or damaged.
        """
        import torch
        from peft import PeftModel
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from transformers import AutoModel, AutoTokenizer

        path = model_directory()
        self.version = reader_version(directory)
        self._torch = torch
        self._builder = WindowBuilder(AutoTokenizer.from_pretrained(path, split_special_tokens=True))
        model = AutoModel.from_pretrained(path, dtype=torch.float32)
        try:
            merged = PeftModel.from_pretrained(model, str(directory)).merge_and_unload()
            head = load_file(directory / HEAD)
            self._head = torch.nn.Linear(head["weight"].shape[1], 1)
            self._head.load_state_dict(head)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise FgctlError(
                f"The reader in {directory} cannot be loaded ({error}); restore it or run `fgctl rewards prefit`."
            ) from None
        self._head.to(compute_device())
        self._model = merged.to(compute_device(), compute_dtype()).eval()

    def read(self, questions: Sequence[str], responses: Sequence[str], spans: Sequence[Sequence[Span]]) -> list[Matrix]:
        """Log-odds that a good answer does not contain a span's content: float64 [spans] for each of N responses.

        It caches nothing between calls, and the same arguments in any order give the same bits.
        """
        built = [
            (i, window, members)
            for i, (q, r, s) in enumerate(zip(questions, responses, spans, strict=True))
            for window, members in self._builder.build(q, r, s)
        ]
        out = [np.zeros(len(s)) for s in spans]
        order = sorted(range(len(built)), key=lambda k: (len(built[k][1].ids), built[k][1].ids))
        for first in range(0, len(order), _BATCH):
            chunk = [built[k] for k in order[first : first + _BATCH]]
            with self._torch.inference_mode():
                hidden = encode_windows(self._model, [window for _, window, _ in chunk])
                logits = span_log_odds(self._head, hidden, [window for _, window, _ in chunk]).cpu().numpy()
            position = 0
            for i, window, members in chunk:
                out[i][members] = logits[position : position + len(window.ranges)]
                position += len(window.ranges)
        return out


def encode_windows(model: Any, windows: Sequence[Window]) -> "torch.Tensor":
    """Hidden states of padded windows: float32 [windows, tokens, hidden]."""
    import torch

    length = max(len(w.ids) for w in windows)
    ids = torch.zeros(len(windows), length, dtype=torch.long)
    kinds, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, w in enumerate(windows):
        ids[i, : len(w.ids)] = torch.tensor(w.ids)
        mask[i, : len(w.ids)] = 1
        kinds[i, w.response_from : len(w.ids)] = 1
    ids, mask, kinds = (tensor.to(model.device) for tensor in (ids, mask, kinds))
    hidden: torch.Tensor = model(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state
    return hidden.float()


def span_log_odds(head: Any, hidden: "torch.Tensor", windows: Sequence[Window]) -> "torch.Tensor":
    """Log-odds of every span, window by window, from its mean hidden state and the first token's."""
    import torch

    rows = [
        torch.cat([hidden[i, a:b].mean(0), hidden[i, 0]]) for i, window in enumerate(windows) for a, b in window.ranges
    ]
    logits: torch.Tensor = head(torch.stack(rows)).squeeze(-1)
    return logits


def load_word_head(directory: Path = FITTED_READER) -> LinearHead:
    """Load the word head stored beside a reader. Raises FgctlError when it is missing or damaged."""
    path = directory / WORD_HEAD
    try:
        return LinearHead.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FgctlError(f"{path} cannot be loaded ({error}); restore it or run `fgctl rewards prefit`.") from None


def reader_version(directory: Path = FITTED_READER) -> str:
    """The content version of a reader and its word head: 12 hexadecimal digits.

    Raises FgctlError when a file is missing.
    """
    try:
        digests = [file_digest(directory / name) for name in (ADAPTER, HEAD, WORD_HEAD)]
    except OSError:
        raise FgctlError(f"The reader in {directory} is missing; restore it or run `fgctl rewards prefit`.") from None
    return content_version(digests)
