"""What a run tells while it runs: a progress line, TensorBoard scalars, and one JSON line a step."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

METRICS = "metrics.jsonl"


class RunLog:
    """Logs the steps of one run, going on where a checkpoint left off."""

    def __init__(self, run: Path, title: str, *, total: int, start: int) -> None:
        """Steps at or after `start` that an interrupted run logged are dropped: they are about to be done again."""
        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=start)
        self._file = run / METRICS
        kept = [line for line in _lines(self._file) if json.loads(line)["step"] < start]
        self._file.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
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
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | {name: round(value, 6) for name, value in metrics.items()}) + "\n")
        self._progress.update(self._task, completed=step + 1, note=note)
        if not self._progress.console.is_terminal:
            self._progress.console.print(f"step {step + 1}: {note}", highlight=False)


def _lines(file: Path) -> list[str]:
    """The complete lines of a log; a last line without its end was cut by a kill."""
    if not file.is_file():
        return []
    *complete, _ = file.read_text(encoding="utf-8").split("\n")
    return complete
