"""What takes part in an arena: stored policies, the reference answers, and OpenAI endpoints; and their answers."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from policies.base import BaseModel
from policies.names import check_name
from policies.prompt import SYSTEM
from policies.store import Decoding, PolicyStore
from policies.store.replace_file import replace_file
from policies.weights import Weights
from rewards.dataset import Example
from rewards.errors import FgctlError
from trainer.arena.chat_endpoint import Address, ChatEndpoint
from trainer.evaluation.answers import GREEDY, MAX_PROMPT_TOKENS, Progress, answer
from trainer.evaluation.candidates import Candidate, candidate
from trainer.evaluation.evaluate import PolicyEngine

REFERENCES = "references"
"""Names the reference answers as a contestant."""
AT_ONCE = 8
"""Requests that an endpoint gets at a time."""


@dataclass(frozen=True)
class Contestant:
    """One side of a comparison."""

    name: str
    kind: Literal["policy", "references", "endpoint"]
    version: str = ""
    """What identifies its answers: a policy's version, or an endpoint's address without a password."""
    policy: Candidate | None = None
    address: Address | None = None


def contestant(text: str, store: PolicyStore, base: BaseModel, fallback: Weights) -> Contestant:
    """`references`, `NAME=http://HOST/v1#MODEL`, or a policy as `fgctl evaluate` names it.

    Raises FgctlError when there is no such contestant.
    """
    if text == REFERENCES:
        return Contestant(REFERENCES, "references")
    name, equals, where = text.partition("=")
    if equals:
        check_name(name)
        address = Address.parse(where)
        return Contestant(name, "endpoint", str(address), address=address)
    policy = candidate(store, text, fallback, base)
    return Contestant(text, "policy", policy.version, policy=policy)


def distinct(contestants: Sequence[Contestant]) -> list[Contestant]:
    """The contestants. Raises FgctlError for fewer than two, or for two of the same name."""
    names = [contestant.name for contestant in contestants]
    if len(names) < 2:
        raise FgctlError("A comparison needs two contestants; name another one, for example references.")
    if repeated := {name for name in names if names.count(name) > 1}:
        raise FgctlError(f"{min(repeated)} takes part twice; name each contestant once.")
    return list(contestants)


def answers_of(
    contestant: Contestant,
    examples: Sequence[Example],
    seeds: int,
    engine: PolicyEngine,
    progress: Progress,
    kept: Path | None = None,
) -> list[list[str]]:
    """`seeds` answers to each question; with one seed greedy ones, with more sampled as a service samples.

    The references are the same for every seed. `kept` is a file for the answers that an endpoint has given so far, with
    which the same call continues after an interruption. Raises FgctlError for a question without a reference.
    """
    if contestant.policy is not None:
        by = GREEDY if seeds == 1 else contestant.policy.decoding
        progress(f"{contestant.name}: answering", 0, len(examples))
        model, sampler = engine.load(contestant.policy)
        answered = answer(examples, model, sampler, by, MAX_PROMPT_TOKENS, seeds if by.temperature else 1)
        texts = [request.response for request in answered.requests]
        progress(f"{contestant.name}: answering", len(examples), len(examples))
        per_question = len(texts) // len(examples)
        by_question = [texts[i : i + per_question] for i in range(0, len(texts), per_question)]
        return [same if len(same) == seeds else same * seeds for same in by_question]
    if contestant.address is not None:
        return _from_endpoint(contestant.name, contestant.address, examples, seeds, progress, kept)
    if missing := sum(not example.answer.strip() for example in examples):
        raise FgctlError(
            f"{missing} of {len(examples)} questions have no reference answer; leave out {REFERENCES}, or the question "
            "sets without references."
        )
    return [[example.answer] * seeds for example in examples]


def _from_endpoint(
    name: str, address: Address, examples: Sequence[Example], seeds: int, progress: Progress, kept: Path | None
) -> list[list[str]]:
    decoding = GREEDY if seeds == 1 else Decoding()
    endpoint = ChatEndpoint(address)

    def ask(place: int) -> str:
        messages = as_messages(examples[place // seeds])
        return endpoint.ask(
            messages, temperature=decoding.temperature, seed=place % seeds, max_tokens=decoding.max_tokens
        ).strip()

    texts = _whole_lines(kept) if kept else []
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool, kept.open("a") if kept else nullcontext() as file:
            for text in pool.map(ask, range(len(texts), len(examples) * seeds)):
                texts.append(text)
                if file:
                    file.write(json.dumps(text) + "\n")
                    file.flush()
                progress(f"{name}: answering", len(texts) // seeds, len(examples))
    finally:
        endpoint.close()
    return [texts[i : i + seeds] for i in range(0, len(texts), seeds)]


def _whole_lines(file: Path) -> list[str]:
    """The answers that a file has kept; a line that a kill cut short is removed from it."""
    *whole, cut = file.read_text(encoding="ascii").split("\n") if file.is_file() else [""]
    if cut:
        replace_file(file, "".join(f"{line}\n" for line in whole))
    return [json.loads(line) for line in whole]


def as_messages(example: Example) -> list[dict[str, str]]:
    """The chat in which an endpoint is asked a question: the instruction that policies have, passages and question."""
    passages = "\n\n".join(f"{passage.title}: {passage.text}" for passage in example.passages)
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{passages}\n\nQuestion: {example.question}".strip()},
    ]
