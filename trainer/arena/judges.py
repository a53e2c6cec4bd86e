"""Verdicts on matches: by the judge, and by a model behind an OpenAI endpoint, which is asked in both orders."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from policies.weights import Weights
from rewards.categories import BUILT_IN
from rewards.models.judge import Judge, Judgement
from rewards.scores import ScoreRequest
from trainer.arena.chat_endpoint import Address, ChatEndpoint
from trainer.arena.contestants import AT_ONCE
from trainer.arena.matches import Choice, Match, Side, Verdict
from trainer.evaluation.report import judges_reward

EQUAL = 0.05
"""The judge calls rewards that differ by less a tie."""
_ROUND = 32
"""Matches whose verdicts are kept together, so that an interruption loses no more."""
_REPLY_TOKENS = 512

Pair = tuple[ScoreRequest, ScoreRequest]
"""The two texts of a match, `a` and `b`, with question and passages."""
Progress = Callable[[int], None]


def by_judge(
    judge: Judge, matches: Sequence[tuple[Match, Pair]], weights: Weights, progress: Progress
) -> Iterator[list[Verdict]]:
    """The judge's verdicts: the text that earns more by the weights is better.

    It reads each text by itself, so the order means nothing, and a question's matches come together: its passages are
    read once. Both are bad when the judge finds an error in every segment of both. Progress is the number of matches
    done.
    """
    done = 0
    for part in _rounds(sorted(matches, key=lambda pair: pair[0].question)):
        judgements = judge.judge([request for _, pair in part for request in pair])
        pairs = zip(judgements[::2], judgements[1::2], strict=True)
        verdicts = [
            Verdict(match=match.key, choice=judged_choice(a, b, weights))
            for (match, _), (a, b) in zip(part, pairs, strict=True)
        ]
        done += len(part)
        progress(done)
        yield verdicts


def judged_choice(a: Judgement, b: Judgement, weights: Weights) -> Choice:
    """Which of two texts the judge's verdicts pay more by the weights."""
    if all(_wholly_wrong(judgement) for judgement in (a, b)):
        return "neither"
    mine, theirs = (sum(weights[name] * judges_reward(name, j) for name in BUILT_IN) for j in (a, b))
    if abs(mine - theirs) < EQUAL:
        return "tie"
    return "a" if mine > theirs else "b"


def _wholly_wrong(judgement: Judgement) -> bool:
    return all(error for errors in judgement.errors.values() for error in errors)


def by_endpoint(
    address: Address,
    matches: Sequence[tuple[Match, Pair]],
    progress: Progress,
    endpoint: ChatEndpoint | None = None,
) -> Iterator[list[Verdict]]:
    """The verdicts of a model behind an endpoint, two on each match: one for each order of the texts.

    The order that comes first is drawn. Raises FgctlError when the endpoint does not answer.
    """
    endpoint = endpoint or ChatEndpoint(address)

    def ask(match: Match, pair: Pair, first: Side) -> Verdict:
        shown = pair if first == "a" else pair[::-1]
        reply = endpoint.ask(as_question(*shown), temperature=0, seed=0, max_tokens=_REPLY_TOKENS, whole=True)
        return Verdict(match=match.key, choice=read_choice(reply, first), first=first)

    done = 0
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for part in _rounds(matches):
                orders = [(match, pair, side) for match, pair in part for side in (match.first, _other(match.first))]
                yield list(pool.map(lambda order: ask(*order), orders))
                done += len(part)
                progress(done)
    finally:
        endpoint.close()


def as_question(first: ScoreRequest, second: ScoreRequest) -> list[dict[str, str]]:
    """The chat that asks which of two texts is better."""
    passages = "\n\n".join(f"{passage.title}: {passage.text}" for passage in first.passages)
    return [
        {"role": "system", "content": _INSTRUCTION},
        {
            "role": "user",
            "content": f"Passages:\n{passages}\n\nQuestion: {first.question}\n\nAnswer 1:\n{first.response}\n\n"
            f"Answer 2:\n{second.response}\n\nWhich answer is better?",
        },
    ]


_INSTRUCTION = (
    "You compare two answers to a question, given passages. A good answer is to the point, is supported by the "
    "passages, and is complete. Length by itself is no merit. The order of the answers means nothing. End your reply "
    "with a line that has only one word: 1 if the first answer is better, 2 if the second is, tie if they are equally "
    "good, bad if both are bad."
)


_CHOICE = r"\b(1|2|tie|bad)\b"
_ALONE = re.compile(rf"\W*((answer|choice|verdict)\W+)?{_CHOICE}\W*")


def read_choice(reply: str, first: Side) -> Choice | None:
    """The one choice in a reply's last line, or else in the last line that has nothing but a choice.

    None where there is none: a line of reasoning, such as "Answer 1 is short", says nothing yet.
    """
    lines = [line for line in reply.lower().splitlines() if re.search(r"\w", line)]
    for line in [*lines[-1:], *filter(_ALONE.fullmatch, reversed(lines))]:
        words = set(re.findall(_CHOICE, line))
        if len(words) == 1:
            chosen: dict[str, Choice] = {"1": first, "2": _other(first), "tie": "tie", "bad": "neither"}
            return chosen[words.pop()]
    return None


def _other(side: Side) -> Side:
    return "b" if side == "a" else "a"


def _rounds(matches: Sequence[tuple[Match, Pair]]) -> Iterator[Sequence[tuple[Match, Pair]]]:
    for first in range(0, len(matches), _ROUND):
        yield matches[first : first + _ROUND]
