"""What every endpoint does with a request: generate, choose the best where asked, keep the answer, have it scored."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Literal

from policies.weights import Weights
from service.answering.best_of import Chooser
from service.answering.pipeline import Generation
from service.domain.request import Answer, Choice, Prepared, Task, choice_id
from service.engine.engine import Piece
from service.errors import Unavailable
from service.feedback.records import StoredResponse
from service.scoring.recent_responses import RecentResponses
from service.served.roster import ServedPolicy, rounded


class Answers:
    """Answers requests, and keeps each completion for GET /responses/{id}."""

    def __init__(
        self,
        generation: Generation,
        chooser: Chooser,
        recent: RecentResponses,
        on_answer: Callable[[Prepared, Answer, Choice], None],
    ) -> None:
        """`on_answer` is told of every completion that is returned; it must not wait."""
        self._generation = generation
        self._chooser = chooser
        self._recent = recent
        self._on_answer = on_answer

    async def prepare(self, task: Task) -> Prepared:
        """Check a request. Raises ServiceError."""
        return await self._generation.prepare(task)

    async def turn(self, prepared: Prepared) -> Literal[True]:
        """Wait until the answer can begin, where that must be known before a stream begins. Raises Overloaded."""
        return await self._generation.turn(prepared)

    async def answer(self, prepared: Prepared) -> Answer:
        """The whole answer. Cancelling aborts the generation. Raises ServiceError."""
        last: Piece | Answer | None = None
        async with aclosing(self.stream(prepared)) as events:
            async for event in events:
                last = event
        if not isinstance(last, Answer):
            raise Unavailable("The engine ended without an answer; send the request again.")
        return last

    async def stream(self, prepared: Prepared) -> AsyncGenerator[Piece | Answer, None]:
        """Pieces as they come, then the whole answer; only the answer where the best of several is to be chosen.

        Closing the generator aborts the generation. Raises ServiceError.
        """
        if chooses(prepared):
            answer = await self._chooser.choose(prepared, await self._generation.answer(prepared))
            self._keep(prepared, answer)
            yield answer
            return
        async with aclosing(self._generation.stream(prepared)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    self._keep(prepared, event)
                yield event

    def _keep(self, prepared: Prepared, answer: Answer) -> None:
        for choice in answer.choices:
            self._recent.add(record(answer, choice))
            if choice.judged is not None:
                self._recent.set_scores(choice_id(answer.id, choice.index), choice.judged.scored)
            self._on_answer(prepared, answer, choice)
            self._generation.monitor(prepared, choice)


def chooses(prepared: Prepared) -> bool:
    """Whether more is sampled than returned."""
    return prepared.keep < int(prepared.params.n)


def record(answer: Answer, choice: Choice) -> dict[str, Any]:
    """One completion as it is kept and as POST /generate returns it: GenerateResponse or BestOfResponse."""
    usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
    kept = {
        "id": choice_id(answer.id, choice.index),
        "profile": answer.policy.profile,
        **sources(answer.policy, answer.wanted, answer.passages_cut),
        "text": choice.text,
        "finish_reason": choice.finish_reason,
        "usage": usage,
    }
    if answer.choosing is None:
        return kept
    usage["samples"] = answer.choosing.samples
    return kept | chosen(answer, choice)


def remembered(kept: StoredResponse, whole: bool) -> dict[str, Any]:
    """An answer that the feedback store has kept, as GET /responses/{id} shows it: like `record`, with its scores.

    What the store does not keep is None. With `whole`, the question and the passages are part of it.
    """
    passages = [one.model_dump(include={"title", "text"}) for one in kept.passages]
    shown = {
        "id": kept.id,
        "profile": kept.profile,
        "policy": {"name": kept.profile, "version": kept.policy},
        "weights": kept.weights,
        "weights_served": None,
        "passages_cut": None,
        "text": kept.text,
        "finish_reason": kept.finish_reason,
        "usage": None,
    }
    asked = {"question": kept.question, "passages": passages} if whole else {}
    return shown | asked | (kept.scored or {"scores": None})


def sources(policy: ServedPolicy, wanted: Weights, passages_cut: bool) -> dict[str, Any]:
    """What an answer comes from, as far as every endpoint says it."""
    return {
        "policy": {"name": policy.profile, "version": policy.version},
        "weights": rounded(wanted),
        "weights_served": rounded(policy.weights),
        "passages_cut": passages_cut,
    }


def chosen(answer: Answer, choice: Choice) -> dict[str, Any]:
    """How a completion was chosen, and its scores; nothing where there was no choice."""
    if answer.choosing is None:
        return {}
    mean = answer.choosing.mean_reward
    best_of = {
        "chosen": choice.judged is not None,
        "reward": None if choice.reward is None else round(choice.reward, 4),
        "mean_reward": None if mean is None else round(mean, 4),
    }
    scores = {"scores": None} if choice.judged is None else choice.judged.scored.as_json()
    return {"best_of": best_of, **scores}
