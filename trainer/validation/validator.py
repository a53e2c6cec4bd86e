"""Evaluates a policy while it is trained, and keeps the best checkpoint.

In the run's directory: `validation.jsonl` has a line for each evaluation, `best.pt` the state after the best one,
`references.json` the reference answers' figures, `validation/` some answers, and `overoptimisation.*` the curve. A line
is written last, so an evaluation that a kill interrupts is repeated, with the same result.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from policies.store.replace_file import replace_file
from rewards.dataset import Example
from rewards.models.judge import Judge
from rewards.scorer import Scorer
from trainer.evaluation.answers import Answers, answer, by_people
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.report import Opinion, References, report_on
from trainer.policy_model import PolicyModel
from trainer.processes import Processes
from trainer.recipe import PpoRecipe
from trainer.rollouts.sampler import Sampler
from trainer.tracking.checkpoint import save_checkpoint
from trainer.tracking.run_log import RunLog
from trainer.validation.curve import write_curve
from trainer.validation.evaluation import Evaluation, ReferenceFigures, evaluation, reference_figures
from trainer.validation.guards import violations
from trainer.validation.selection import best, end
from trainer.validation.texts import write_texts

EVALUATIONS = "validation.jsonl"
BEST = "best.pt"
REFERENCES = "references.json"


class Validator:
    """Evaluates on the validation questions. Every process of a run has one, all with the same evaluations."""

    def __init__(
        self,
        run: Path,
        examples: Sequence[Example],
        candidate: Candidate,
        scorer: Scorer,
        load_judge: Callable[[], Judge],
        ppo: PpoRecipe,
        processes: Processes,
    ) -> None:
        """The candidate's weights weigh the rewards.

        The judge is loaded at the first evaluation, by the main process, which alone scores and judges.
        """
        self._run, self._examples, self._candidate, self._scorer = run, examples, candidate, scorer
        self._load_judge = load_judge
        self._judge: Judge | None = None
        self._ppo, self._processes = ppo, processes
        self.evaluations: list[Evaluation] = []

    def resume(self, start: int) -> None:
        """Continue after `start` steps; what was evaluated later is forgotten, as it is about to be repeated."""
        self.evaluations = self._processes.on_main(partial(self._read, start))

    def due(self, step: int) -> bool:
        """Whether to evaluate after so many steps: before the first, every few hundred episodes, and after the last."""
        every = self._ppo.validation.every
        before, now = self._episodes(max(0, step - 1)), self._episodes(step)
        return step in (0, self._ppo.steps) or now // every > before // every

    def waits(self, step: int) -> bool:
        """Whether the evaluation after so many steps is due and not done yet."""
        return self.due(step) and all(evaluation.step != step for evaluation in self.evaluations)

    def catch_up(
        self,
        step: int,
        model: PolicyModel,
        sampler: Sampler,
        state: Callable[[], dict[str, Any]],
        log: RunLog | None,
    ) -> None:
        """Evaluate the policy after `step` steps, if that is due and not done yet.

        `state` makes the checkpoint to keep if this is the best evaluation. The log, which only the main process has,
        gets the figures, a sentence on them, and a warning for each guard that they violate.
        """
        if not self.waits(step):
            return
        sampler.synchronise(model, step)
        answers = self._answer(model, sampler)
        self.evaluations.append(self._processes.on_main(lambda: self._finish(step, answers, model.eos, state, log)))

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation so far (trainer.validation.selection)."""
        return best(self.evaluations)

    @property
    def end(self) -> str | None:
        """Why the run may end, as a clause; None if it should go on."""
        return end(self.evaluations, self._ppo.validation.patience)

    def _episodes(self, steps: int) -> int:
        return steps * self._ppo.episodes_per_step

    def _answer(self, model: PolicyModel, sampler: Sampler) -> Answers:
        """Greedy answers to all questions; each process gives its share."""
        own = self._processes.own(range(len(self._examples)))
        answers = answer([self._examples[i] for i in own], model, sampler)
        if self._processes.count == 1:
            return answers
        rows = zip(answers.requests, answers.references, answers.prompts, answers.tokens, strict=True)
        merged = self._processes.merge(dict(zip(own, rows, strict=True)))
        return Answers(*(list(column) for column in zip(*(merged[i] for i in sorted(merged)), strict=True)))

    def _finish(
        self,
        step: int,
        answers: Answers,
        eos: int,
        state: Callable[[], dict[str, Any]],
        log: RunLog | None,
    ) -> Evaluation:
        """On the main process: judge the answers, and write everything down."""
        references = self._references(answers)
        scored = self._scorer.score(answers.requests)
        report = report_on(
            self._candidate, answers.requests, scored, answers.references, self._scorer, self._opinion(answers.requests)
        )
        episodes = self._episodes(step)
        now = evaluation(report, answers.tokens, eos, step, episodes).model_copy(update=self._training(step, log))
        now = now.model_copy(
            update={"violations": violations(now, self.evaluations, references, self._ppo.validation.copied_margin)}
        )
        evaluations = [*self.evaluations, now]
        chosen = best(evaluations)
        if chosen == now:
            save_checkpoint(self._run, state(), BEST)
        count = self._ppo.validation.texts
        write_texts(answers.requests[:count], answers.references, report["per_question"], episodes, self._run)
        write_curve(evaluations, references, self._run)
        with (self._run / EVALUATIONS).open("a", encoding="utf-8") as file:
            file.write(now.model_dump_json() + "\n")
        if log is not None:
            _report(log, now, references, kept=chosen)
        return now

    def _training(self, step: int, log: RunLog | None) -> dict[str, float]:
        """What training logged since the evaluation before."""
        since = max((evaluation.step for evaluation in self.evaluations), default=0)
        steps = [metrics for metrics in (log.history if log else ()) if since <= metrics["step"] < step]
        if not steps:
            return {}
        return {
            "kl": fmean(metrics["kl/response"] for metrics in steps),
            "training_reward": fmean(metrics["reward/weighted"] for metrics in steps),
        }

    def _references(self, answers: Answers) -> ReferenceFigures:
        """The reference answers' figures, computed once."""
        file = self._run / REFERENCES
        if file.is_file():
            return ReferenceFigures.model_validate_json(file.read_text(encoding="utf-8"))
        requests = by_people(answers)
        people = References(requests, self._scorer.score(requests), self._opinion(requests))
        figures = reference_figures(people.figures(self._candidate, self._scorer))
        replace_file(file, figures.model_dump_json(indent=1) + "\n")
        return figures

    def _opinion(self, requests: Sequence[Any]) -> Opinion:
        if self._judge is None:
            self._judge = self._load_judge()
        return Opinion(self._judge.version, self._judge.judge(requests))

    def _read(self, start: int) -> list[Evaluation]:
        """The evaluations after at most `start` steps; the file keeps only these."""
        file = self._run / EVALUATIONS
        if not file.is_file():
            return []
        *complete, _ = file.read_text(encoding="utf-8").split("\n")
        evaluations = [e for e in map(Evaluation.model_validate_json, complete) if e.step <= start]
        replace_file(file, "".join(e.model_dump_json() + "\n" for e in evaluations))
        return evaluations


def _report(log: RunLog, now: Evaluation, references: ReferenceFigures, kept: Evaluation | None) -> None:
    """Log an evaluation, and each guard that it violates."""
    figures = ("reward", "judge", "copied", "longest", "words", "truncated", "repetition", "kl")
    log.scalars(now.step, {f"validation/{name}": getattr(now, name) for name in figures})
    log.say(
        now.step,
        f"after {now.episodes} episodes, on validation questions: reward {now.reward:+.3f}, judge {now.judge:+.3f}, "
        f"copied {now.copied:.2f}, {now.words:.0f} words (reference answers {references.reward:+.3f}, "
        f"{references.judge:+.3f}, {references.copied:.2f}, {references.words:.0f})",
    )
    earlier = f"; {BEST} keeps the checkpoint after {kept.episodes} episodes" if kept and kept != now else ""
    for name, clause in now.violations.items():
        log.say(now.step, f"warning, guard {name!r}: {clause}{earlier}", warning=True)
