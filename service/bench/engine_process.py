"""An engine in its own process, for `lora.py` and `fgctl bench evaluate`.

The program's argument is a JSON object of vLLM's engine arguments. It first prints `ready`. Then it reads lines with
the fields of Work as JSON, and prints the seconds that each took.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass

from service.engine.processes import bind_cores


@dataclass(frozen=True)
class Work:
    """A batch of prompts for one call of an engine."""

    prompts: list[list[int]]
    """Token ids of each prompt."""
    adapters: list[str | None]
    """The directory of each prompt's adapter; None for the base model."""
    max_tokens: int
    """Most tokens to write for each prompt."""
    ignore_eos: bool = True
    """Whether to write that many also beyond the end-of-text token."""

    def line(self) -> str:
        """The line of an engine's input that holds this work."""
        return json.dumps(asdict(self)) + "\n"


def main() -> None:
    """Do the work that standard input describes, until it ends."""
    # Libraries print to standard output, so it becomes standard error, and a copy is kept for the results.
    with os.fdopen(os.dup(1), "w", buffering=1) as results:
        os.dup2(2, 1)
        from vllm import LLM, SamplingParams, TokensPrompt
        from vllm.lora.request import LoRARequest

        bind_cores()
        llm = LLM(**json.loads(sys.argv[1]))
        numbers: dict[str, int] = {}
        results.write("ready\n")
        for line in sys.stdin:
            work = Work(**json.loads(line))
            params = SamplingParams(
                temperature=0, max_tokens=work.max_tokens, ignore_eos=work.ignore_eos, detokenize=False
            )
            prompts = [TokensPrompt(prompt_token_ids=ids) for ids in work.prompts]
            adapters = [
                None if path is None else LoRARequest(path, numbers.setdefault(path, len(numbers) + 1), path)
                for path in work.adapters
            ]
            began = time.perf_counter()
            llm.generate(prompts, params, lora_request=adapters, use_tqdm=False)  # type: ignore[arg-type]  # None is fine
            results.write(f"{time.perf_counter() - began}\n")


if __name__ == "__main__":
    main()
