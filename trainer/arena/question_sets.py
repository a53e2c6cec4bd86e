"""Question sets for the arena, of more than one domain.

`qa-feedback` are the held-out questions of dev.json with their reference answers. `expertqa` are experts' questions
with the evidence of one of the answers in the set. `wice` has claims and no questions, so its questions ask about the
claim's article, and the claim is the reference. `store` are questions that people asked a service, and any other name
is a file in the format of dev.json.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rewards.dataset import Example, data_file, load_examples, question_key
from rewards.errors import FgctlError
from rewards.held_out import to_evaluate
from rewards.quality.public_sets import load_public_set

QA_FEEDBACK, EXPERT_QA, WICE, STORE = ("qa-feedback", "expertqa", "wice", "store")


@dataclass(frozen=True)
class Question:
    """A question of a set."""

    question_set: str
    example: Example
    """Its `answer`, the reference, is empty where nobody wrote one."""

    @property
    def key(self) -> str:
        """What identifies it: set and question."""
        return f"{self.question_set}:{question_key(self.example.question)}"


def load_questions(name: str, most: int | None = None, of_store: Sequence[Example] = ()) -> list[Question]:
    """At most so many questions of a set, drawn by a hash of the question, each asked once.

    `of_store` are those of the feedback store. Raises FgctlError for a set without questions, or that cannot be read.
    """
    examples = {question_key(example.question): example for example in reversed(_examples(name, of_store))}
    if not examples:
        raise FgctlError(f"The question set {name} is empty; choose another, or ask a service something first.")
    order = sorted(examples, key=lambda key: hashlib.sha256(f"arena {key}".encode()).hexdigest())
    return [Question(name, examples[key]) for key in order[:most]]


def _examples(name: str, of_store: Sequence[Example]) -> list[Example]:
    if name == QA_FEEDBACK:
        return to_evaluate(load_examples(data_file("dev")))
    if name == EXPERT_QA:
        return [Example(question=r.question, passages=r.passages, answer="") for r in load_public_set("ExpertQA")]
    if name == WICE:
        return [
            Example(question=f"What do the passages say about {r.question}?", passages=r.passages, answer=r.response)
            for r in load_public_set("WiCE")
        ]
    return list(of_store) if name == STORE else load_examples(Path(name))
