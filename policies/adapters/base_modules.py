"""The modules of a base model that adapters may change, and their shapes, without its weights."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from policies.adapters.configuration import ALL_LINEAR, AdapterConfig
from policies.base import local_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaseModules:
    """What a base model is made of, as far as it matters to adapters."""

    shapes: Mapping[str, tuple[int, int]]
    """Output and input width of each linear layer, by its name."""
    embeddings: frozenset[str] = frozenset()
    output: str | None = None
    """The linear layer that gives the logits."""

    def declared_by(self, config: AdapterConfig) -> set[str]:
        """The modules that PEFT adapts by this configuration."""
        everything = self.shapes.keys() | self.embeddings
        if config.target_modules == ALL_LINEAR:
            everything = self.shapes.keys() - {self.output}
        return {module for module in everything if config.targets(module)}


@cache
def modules_of(base: Path) -> BaseModules | None:
    """The modules of the base model in a directory; None, with a line in the log, where transformers cannot say."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    except Exception as error:  # noqa: BLE001  # architectures fail in many ways, and only shapes cannot be checked then
        logger.warning("the modules of %s are unknown, so adapters are not compared with them: %s", base, error)
        return None
    shapes: dict[str, tuple[int, int]] = {}
    embeddings = set()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            shapes[name] = (module.out_features, module.in_features)
        elif isinstance(module, Conv1D):
            shapes[name] = (module.nf, module.nx)
        elif isinstance(module, torch.nn.Embedding):
            embeddings.add(name)
    logits = model.get_output_embeddings()
    output = next((name for name, module in model.named_modules() if module is logits), None)
    return BaseModules(shapes, frozenset(embeddings), output)


def local_modules(name: str, digest: str) -> BaseModules | None:
    """The modules of the base of that name and digest; None when it is not on this machine."""
    path = local_path(name, digest)
    return None if path is None else modules_of(path)
