"""An engine in a process of its own, for service.bench.lora.

Its one argument is a JSON object: vLLM's engine arguments. Each line of its input is a JSON object, Work's fields; its
answer is a line with the seconds that the work took. It answers `ready` first.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Work:
    """Prompts that an engine answers in one call."""

    prompts: list[list[int]]
    """Their token ids."""
    adapters: list[str | None]
    """For each prompt the directory of its adapter; None for the base."""
    max_tokens: int
    """Tokens to write to each, whatever they are."""

    def line(self) -> str:
        """As a line of an engine's input."""
        return json.dumps(asdict(self)) + "\n"


def main() -> None:
    """Answer until the input ends."""
    # Libraries print to standard output; the answers have it to themselves.
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        from vllm import LLM, SamplingParams, TokensPrompt
        from vllm.lora.request import LoRARequest

        llm = LLM(**json.loads(sys.argv[1]))
        numbers: dict[str, int] = {}
        answers.write("ready\n")
        for line in sys.stdin:
            work = Work(**json.loads(line))
            params = SamplingParams(temperature=0, max_tokens=work.max_tokens, ignore_eos=True, detokenize=False)
            prompts = [TokensPrompt(prompt_token_ids=ids) for ids in work.prompts]
            adapters = [
                None if path is None else LoRARequest(path, numbers.setdefault(path, len(numbers) + 1), path)
                for path in work.adapters
            ]
            began = time.perf_counter()
            llm.generate(prompts, params, lora_request=adapters, use_tqdm=False)  # type: ignore[arg-type]  # None is fine
            answers.write(f"{time.perf_counter() - began}\n")


if __name__ == "__main__":
    main()
