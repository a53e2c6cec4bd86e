"""Answers and completions as JSON, as far as several endpoints show them."""

from typing import Any

from policies.weights import Weights
from service.domain.answer import Answer, Completion, completion_id
from service.domain.policy import ServedPolicy, rounded


def completion_json(answer: Answer, completion: Completion) -> dict[str, Any]:
    """One completion, as POST /generate and GET /responses/{id} show it."""
    usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
    if answer.best_of is not None:
        usage["samples"] = answer.best_of.samples
    return {
        "id": completion_id(answer.id, completion.index),
        "profile": answer.policy.profile,
        **sources_json(answer.policy, answer.weights, answer.passages_cut),
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "usage": usage,
        **best_of_json(answer, completion),
    }


def sources_json(policy: ServedPolicy, weights: Weights, passages_cut: bool) -> dict[str, Any]:
    """What an answer comes from; `weights` are those asked for."""
    return {
        "policy": {"name": policy.profile, "version": policy.version},
        "weights": rounded(weights),
        "weights_served": rounded(policy.weights),
        "passages_cut": passages_cut,
    }


def best_of_json(answer: Answer, completion: Completion) -> dict[str, Any]:
    """How a completion was chosen, and its scores; nothing where there was no choice."""
    if answer.best_of is None:
        return {}
    mean = answer.best_of.mean_reward
    best_of = {
        "chosen": completion.scored is not None,
        "reward": None if completion.reward is None else round(completion.reward, 4),
        "mean_reward": None if mean is None else round(mean, 4),
    }
    scores = {"scores": None} if completion.scored is None else completion.scored.scores.as_json()
    return {"best_of": best_of, **scores}
