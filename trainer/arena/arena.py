"""A whole arena: every contestant answers every question, and judges compare the answers two at a time.

In its directory: `answers/` has each contestant's texts, `verdicts/` each judge's, `results.json` what they amount to.
After an interruption the same call continues; no answer and no verdict is asked for twice. People's verdicts come from
the feedback store, which the caller reads.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.base import BaseModel
from policies.store.replace_file import replace_file
from policies.weights import Weights
from rewards.errors import FgctlError
from rewards.models.judge import Judge
from rewards.scores import ScoreRequest
from trainer.arena.chat_endpoint import Address
from trainer.arena.contestants import Contestant, answers_of
from trainer.arena.judges import Pair, by_endpoint, by_judge
from trainer.arena.matches import Match, Verdict, matches_of
from trainer.arena.question_sets import Question
from trainer.arena.ratings import summarise
from trainer.evaluation.answers import GREEDY, MAX_PROMPT_TOKENS, Progress
from trainer.evaluation.evaluate import PolicyEngine
from trainer.experiments.experiment import RESULTS, write_json
from trainer.tracking.checkpoint import claim_run

JUDGE, PEOPLE = "judge", "people"
"""Names of the judges that are no endpoint."""
Texts = dict[str, list[list[str]]]
"""Answers by contestant, question and seed."""


@dataclass(frozen=True)
class Arena:
    """Who competes on which questions, and in which directory."""

    contestants: Sequence[Contestant]
    questions: Sequence[Question]
    seeds: int
    """Answers of each contestant to each question; a single one is greedy."""
    weights: Weights
    """The weights by which the judge compares."""
    directory: Path

    def claim(self) -> None:
        """Make the directory this arena's. Raises FgctlError when it holds another one."""
        claim_run(
            self.directory,
            {
                "kind": "arena",
                "contestants": [[c.name, c.version] for c in self.contestants],
                "questions": [question.key for question in self.questions],
                "seeds": self.seeds,
                "weights": self.weights.as_dict(),
            },
        )

    def request(self, question: int, text: str) -> ScoreRequest:
        """An answer to a question, with the question's passages, however many of them its writer was shown."""
        example = self.questions[question].example
        return ScoreRequest(example.question, example.passages, text)


@dataclass(frozen=True)
class Answered:
    """An arena's answers, and the matches between them."""

    texts: Texts
    matches: Sequence[Match]

    def text(self, match: Match) -> tuple[str, str]:
        """The texts of `a` and `b`."""
        a, b = (self.texts[name][match.question][match.seed] for name in (match.a, match.b))
        return a, b

    @property
    def different(self) -> list[Match]:
        """The matches between different texts, which alone need a verdict; of several with the same texts the first."""
        unequal = [match for match in self.matches if len({text.strip() for text in self.text(match)}) == 2]
        return list({match.key: match for match in reversed(unequal)}.values())[::-1]


def answer_all(arena: Arena, base: BaseModel, progress: Progress) -> Answered:
    """Every contestant's answers, those that are not stored yet asked for.

    Raises FgctlError when the directory holds another arena, and when a contestant cannot answer.
    """
    arena.claim()
    (arena.directory / "answers").mkdir(exist_ok=True)
    longest = max((c.policy.decoding.max_tokens for c in arena.contestants if c.policy), default=0)
    examples = [question.example for question in arena.questions]
    texts: Texts = {}
    with closing(PolicyEngine(base, MAX_PROMPT_TOKENS + max(longest, GREEDY.max_tokens))) as engine:
        for contestant in arena.contestants:
            path = arena.directory / "answers" / f"{contestant.name}.json"
            kept = path.with_suffix(".jsonl")
            if not path.is_file():
                write_json(path, answers_of(contestant, examples, arena.seeds, engine, progress, kept))
            kept.unlink(missing_ok=True)
            texts[contestant.name] = json.loads(path.read_text(encoding="utf-8"))
    return Answered(texts, matches_of(texts, [question.key for question in arena.questions]))


def judge_all(
    arena: Arena,
    answered: Answered,
    judges: Sequence[str],
    load_judge: Callable[[], Judge],
    progress: Progress,
) -> dict[str, list[Verdict]]:
    """The verdicts by judge, those that are not stored yet asked for: by `judge`, or by a model at URL#MODEL.

    Raises FgctlError for an endpoint that does not answer; what it said before is kept.
    """
    (arena.directory / "verdicts").mkdir(exist_ok=True)
    verdicts = {}
    for name in judges:
        label = name if name == JUDGE else str(Address.parse(name))
        path = arena.directory / "verdicts" / f"{_file_name(label)}.jsonl"
        known = _stored(path, each=1 if name == JUDGE else 2)
        asked = {verdict.match for verdict in known}
        waiting = [match for match in answered.different if match.key not in asked]
        open_matches = [(match, _pair(arena, answered, match)) for match in waiting]
        for part in _verdicts(name, open_matches, arena, load_judge, progress):
            known += part
            with path.open("a", encoding="utf-8") as file:
                file.write(_lines(part))
        verdicts[label] = known
    return verdicts


def _verdicts(
    name: str,
    matches: Sequence[tuple[Match, Pair]],
    arena: Arena,
    load_judge: Callable[[], Judge],
    progress: Progress,
) -> Iterator[list[Verdict]]:
    if not matches:
        return iter(())

    def advance(done: int) -> None:
        progress(f"{name}: judging", done, len(matches))

    if name == JUDGE:
        return by_judge(load_judge(), matches, arena.weights, advance)
    return by_endpoint(Address.parse(name), matches, advance)


def _pair(arena: Arena, answered: Answered, match: Match) -> Pair:
    a, b = (arena.request(match.question, text) for text in answered.text(match))
    return a, b


def _stored(path: Path, each: int) -> list[Verdict]:
    """The verdicts of a file on matches that have `each` of them.

    What a kill cut short is removed from the file, to be asked for again. Raises FgctlError for another file.
    """
    if not path.is_file():
        return []
    content = path.read_text(encoding="utf-8")
    whole = content[: content.rfind("\n") + 1]
    try:
        verdicts = [Verdict.model_validate_json(line) for line in whole.splitlines()]
    except ValueError:
        raise FgctlError(f"{path} holds a line that is no verdict; remove the file to judge again.") from None
    count = Counter(verdict.match for verdict in verdicts)
    complete = [verdict for verdict in verdicts if count[verdict.match] >= each]
    if whole != content or len(complete) < len(verdicts):
        replace_file(path, _lines(complete))
    return complete


def _lines(verdicts: Sequence[Verdict]) -> str:
    return "".join(verdict.model_dump_json() + "\n" for verdict in verdicts)


def _file_name(label: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in label)


def results_of(arena: Arena, answered: Answered, verdicts: dict[str, list[Verdict]]) -> dict[str, Any]:
    """The content of results.json: for each judge its summary (trainer.arena.ratings), and the same by question set.

    Equal texts count as ties for every judge.
    """
    names = [contestant.name for contestant in arena.contestants]
    words = {
        name: [[len(text.split()) for text in seeds] for seeds in answered.texts[name]] for name in names
    }  # fmt: skip
    different = {match.key for match in answered.different}
    same = [Verdict(match=match.key, choice="tie") for match in answered.matches if match.key not in different]
    sets = list(dict.fromkeys(question.question_set for question in arena.questions))

    def of(places: set[int], judged: list[Verdict]) -> dict[str, Any]:
        matches = [match for match in answered.matches if match.question in places]
        keys = {match.key for match in matches}
        mine = [verdict for verdict in [*judged, *same] if verdict.match in keys]
        return summarise(names, len(arena.questions), matches, mine, words)

    every = set(range(len(arena.questions)))
    judges = {}
    for label, judged in verdicts.items():
        by_set = {name: of({i for i in every if arena.questions[i].question_set == name}, judged) for name in sets}
        judges[label] = of(every, judged) | ({"sets": by_set} if len(sets) > 1 else {})
    return {
        "kind": "arena",
        "contestants": [{"name": c.name, "version": c.version} for c in arena.contestants],
        "questions": {name: sum(q.question_set == name for q in arena.questions) for name in sets},
        "seeds": arena.seeds,
        "weights": arena.weights.as_dict(),
        "same_texts": len(same),
        "judges": judges,
    }


def write_results(arena: Arena, results: dict[str, Any]) -> Path:
    """Write results.json, and return its path."""
    write_json(arena.directory / RESULTS, results)
    return arena.directory / RESULTS
