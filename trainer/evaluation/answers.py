"""Answers to questions, with what an evaluation needs of them: a policy's, and those that people wrote."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policies.prompt import PromptFormatter
from policies.store import Decoding
from rewards.dataset import Example
from rewards.scores import ScoreRequest
from trainer.policy_model import PolicyModel
from trainer.rollouts.sampler import Sampler
from trainer.tasks.qa import TASK as QUESTION_ANSWERING
from trainer.tasks.task import Task

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

GREEDY = Decoding(temperature=0, top_p=1)
"""The most likely token every time, so that nothing depends on chance."""
MAX_PROMPT_TOKENS = 1024
_SEED = 1


def silent(what: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Answers:
    """Values by response; the responses to a question follow one another."""

    requests: list[ScoreRequest]
    """The responses, with the passages that the policy was shown."""
    references: list[str]
    prompts: list[tuple[int, ...]]
    """Token ids of the prompts."""
    tokens: list[list[int]]
    """Token ids of the responses, with the end-of-text token where a response ended."""


def answer(
    examples: Sequence[Example],
    model: PolicyModel,
    sampler: Sampler,
    by: Decoding = GREEDY,
    max_prompt_tokens: int = MAX_PROMPT_TOKENS,
    samples: int = 1,
    task: Task = QUESTION_ANSWERING,
) -> Answers:
    """`samples` answers to each question by the sampler, which has the model's weights already.

    Prompts have at most `max_prompt_tokens`, or fewer where the base reads no more with the answer.
    """
    formatter = PromptFormatter(model.tokenizer, min(max_prompt_tokens, model.positions - by.max_tokens))
    prompts = [task.format(formatter, e) for e in examples]
    sampled = sampler.sample(
        [prompt.token_ids for prompt in prompts],
        samples,
        by.max_tokens,
        _SEED,
        top_p=by.top_p,
        temperature=by.temperature,
    )
    flat = [
        (example, prompt, response.token_ids)
        for example, prompt, responses in zip(examples, prompts, sampled, strict=True)
        for response in responses
    ]
    return Answers(
        [ScoreRequest(e.question, prompt.passages, model.decode(tokens)) for e, prompt, tokens in flat],
        [e.answer for e, _, _ in flat],
        [prompt.token_ids for _, prompt, _ in flat],
        [tokens for _, _, tokens in flat],
    )


def by_people(answers: Answers, samples: int = 1) -> list[ScoreRequest]:
    """The reference answer to each question, beside the passages that the policy was shown."""
    pairs = list(zip(answers.requests, answers.references, strict=True))[::samples]
    return [ScoreRequest(request.question, request.passages, reference) for request, reference in pairs]
