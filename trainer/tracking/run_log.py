"""A run's log: a progress line, TensorBoard scalars, one JSON line of metrics and one of samples a step."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from torch.utils.tensorboard import SummaryWriter

from policies.store.replace_file import replace_file

METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"


class RunLog:
    """Logs the steps of a run; a resumed run continues its log from the checkpoint."""

    def __init__(self, run: Path, title: str, *, total: int, start: int) -> None:
        """Steps from `start` on that an interrupted run has logged are dropped, as they are about to be repeated."""
        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=start)
        self._file = run / METRICS
        self.history: list[dict[str, float]] = [m for m in map(json.loads, _lines(self._file)) if m["step"] < start]
        """The metrics of every step so far."""
        replace_file(self._file, "".join(f"{json.dumps(metrics)}\n" for metrics in self.history))
        self._samples = run / SAMPLES
        if self._samples.is_file():
            kept = [line for line in _lines(self._samples) if json.loads(line)["step"] < start]
            replace_file(self._samples, "".join(f"{line}\n" for line in kept))
        self._warned: set[str] = set()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True, markup=False),
        )
        self._task = self._progress.add_task(title, total=total, completed=start, note="")

    def __enter__(self) -> "RunLog":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._writer.close()

    def step(self, step: int, metrics: Mapping[str, float], note: str) -> None:
        """Log one finished step."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self.history.append({"step": step} | {name: round(value, 6) for name, value in metrics.items()})
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.history[-1]) + "\n")
        self._progress.update(self._task, completed=step + 1, note=note)
        if not self._progress.console.is_terminal:
            self._progress.console.print(f"step {step + 1}: {note}", highlight=False)

    def samples(self, step: int, question: str, responses: Sequence[str]) -> None:
        """Record a finished step's responses to one question, to be read."""
        with self._samples.open("a", encoding="utf-8") as file:
            line = {"step": step, "question": question, "responses": list(responses)}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log values that are not of every step, after `step` steps; only TensorBoard gets them."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def say(self, step: int, sentence: str, *, warning: bool = False) -> None:
        """Print and record a sentence on the run after `step` steps."""
        text = Text(f"{sentence}.", style="yellow" if warning else "")
        self._progress.console.print(text, soft_wrap=True)
        self._writer.add_text("warnings" if warning else "remarks", sentence, step)

    def warn(self, warnings: Mapping[str, str]) -> None:
        """Print and record the warnings, clauses by name, that the previous step did not have."""
        for name, sentence in warnings.items():
            if name not in self._warned:
                step = len(self.history)
                self._progress.console.print(f"step {step}, warning: {sentence}.", style="yellow", highlight=False)
                self._writer.add_text(f"signs/{name}", sentence, step)
        self._warned = set(warnings)


def _lines(file: Path) -> list[str]:
    """The complete lines of a log; a last line without a newline was cut short by a kill."""
    if not file.is_file():
        return []
    *complete, _ = file.read_text(encoding="utf-8").split("\n")
    return complete
