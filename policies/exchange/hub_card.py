"""The README of an exported adapter: the Hub's front matter, how to load it, and how it was trained."""

import json
from dataclasses import dataclass

from policies.manifest import PolicyManifest, card


@dataclass(frozen=True)
class CardFacts:
    """What a manifest does not say about an exported adapter."""

    name: str
    """What vLLM and the Hub may call it."""
    base_model: str
    """What `from_pretrained` loads its base by."""
    licence: str
    rank: int
    """Its highest rank, for which an engine needs room."""


def hub_card(manifest: PolicyManifest, facts: CardFacts) -> str:
    """The README, which begins with front matter in YAML."""
    from huggingface_hub import ModelCardData

    weights = manifest.weights.as_dict() if manifest.weights else None
    data = ModelCardData(
        base_model=facts.base_model,
        library_name="peft",
        pipeline_tag="text-generation",
        license=facts.licence,
        datasets=[data.name for data in manifest.data],
        metrics=["rouge", *(weights or ())] if manifest.greedy_scores else None,
        tags=["fgctl", "lora", "fine-grained-rlhf", "text-generation"],
        fgctl={
            "profile": manifest.profile,
            "version": manifest.version,
            "weights": weights and {name: round(value, 6) for name, value in weights.items()},
            "rewards": manifest.rewards and manifest.rewards.version,
            "parent": manifest.parent and manifest.parent.version,
        },
    )
    return f"---\n{data.to_yaml()}\n---\n\n{card(manifest)}\n{_use(facts)}\n{_training(manifest)}"


def _use(facts: CardFacts) -> str:
    rank = max(16, 1 << (facts.rank - 1).bit_length())
    return f"""## Use
```python
from peft import AutoPeftModelForCausalLM

model = AutoPeftModelForCausalLM.from_pretrained("PATH_OR_NAME_OF_THIS_ADAPTER")
```

```sh
vllm serve {facts.base_model} --enable-lora --max-lora-rank {rank} \\
    --lora-modules {facts.name}=PATH_OR_NAME_OF_THIS_ADAPTER
```

Prompts are the base model's chat template around passages and a question: `[1] TITLE: TEXT` for each passage after the
line `Passages:`, an empty line, then `Question: …`, with the system's message "Answer the question in a few sentences,
using only the passages."
"""


def _training(manifest: PolicyManifest) -> str:
    recipe = json.dumps(manifest.recipe, indent=1)
    return f"## How it was trained\nBy fgctl {manifest.fgctl}, with this recipe:\n\n```json\n{recipe}\n```\n"
