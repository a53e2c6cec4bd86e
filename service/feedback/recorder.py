"""Answers and scores on their way to the store. No reply waits for it: what it cannot take, it drops and counts."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from rewards.dataset import Passage
from rewards.scores import ScoredResponse
from rewards.segmentation import sentences
from service.domain.caller import kept_caller
from service.domain.request import Answer, Choice, Prepared, choice_id
from service.feedback.errors import StoreFailed
from service.feedback.records import NewResponse, NewScores, StoredPassage
from service.feedback.store.feedback_store import FeedbackStore
from service.metrics.feedback import FeedbackMetrics
from service.served.roster import rounded

logger = logging.getLogger(__name__)
BATCH = 100
"""Answers and scores written in one transaction."""
PAUSES = (0.5, 30.0)
"""Seconds before the store is tried again, the first time and at most."""


@dataclass(frozen=True)
class _Answered:
    """What the recorder keeps of an answer until it is written."""

    answer: Answer
    choice: Choice
    question: str
    passages: tuple[Passage, ...]
    caller: str | None


class Versions(NamedTuple):
    """What scores are by."""

    rewards: str
    """Version of the reward models."""
    labels: str | None
    """Version of what names errors, where there is one."""


@dataclass(frozen=True)
class _Scored:
    response_id: str
    by: Versions
    scored: ScoredResponse


_Item = _Answered | _Scored


class Recorder:
    """A bounded queue, and the writer that empties it."""

    def __init__(self, metrics: FeedbackMetrics, limit: int, versions: Callable[[], Versions]) -> None:
        """`limit` answers and scores may wait; `versions` gives those of what scores now."""
        self._metrics = metrics
        self._limit = limit
        self._versions = versions
        self._waiting: deque[_Item] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        metrics.queue_depth.set_function(self._waiting.__len__)
        metrics.announce()

    def answered(self, prepared: Prepared, answer: Answer, choice: Choice) -> None:
        """Take a finished completion, as it was asked for, with the scores that it was chosen by, if it was."""
        caller = kept_caller(prepared.place.caller_id)
        self._put(_Answered(answer, choice, prepared.question, prepared.prompt.passages, caller))
        if choice.judged is not None:
            self.scored(choice_id(answer.id, choice.index), choice.judged.scored)

    def scored(self, response_id: str, scored: ScoredResponse) -> None:
        """Take the scores of a completion."""
        self._put(_Scored(response_id, self._versions(), scored))

    def _put(self, item: _Item) -> None:
        if len(self._waiting) >= self._limit:
            self._lose([item], "queue_full")
            return
        self._waiting.append(item)
        self._filled.set()
        self._emptied.clear()

    async def run(self, store: FeedbackStore) -> None:
        """Write until cancelled. While the store fails, what waits keeps waiting."""
        pause = PAUSES[0]
        while True:
            await self._filled.wait()
            batch = list(islice(self._waiting, BATCH))
            try:
                await self._write(store, batch)
            except StoreFailed as error:
                logger.error("answers are not recorded: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSES[1])
                continue
            pause = PAUSES[0]
            for _ in batch:
                self._waiting.popleft()
            if not self._waiting:
                self._filled.clear()
                self._emptied.set()

    async def drained(self) -> None:
        """Wait until nothing waits."""
        await self._emptied.wait()

    def give_up(self) -> None:
        """Count what still waits as lost: the service stops."""
        if self._waiting:
            logger.error("%d answers and scores were not recorded before the service stopped", len(self._waiting))
        self._lose(list(self._waiting), "stopped")
        self._waiting.clear()

    async def _write(self, store: FeedbackStore, batch: Sequence[_Item]) -> None:
        try:
            responses, scores = await asyncio.to_thread(_records, batch)
            await store.record(responses, scores)
        except StoreFailed:
            raise
        except Exception:  # one answer that cannot be kept must not keep the others out
            if len(batch) > 1:
                for item in batch:
                    await self._write(store, [item])
                return
            logger.exception("an answer or its scores could not be recorded")
            self._lose(batch, "failed")
            return
        for item in batch:
            self._metrics.recorded.labels(_kind(item)).inc()

    def _lose(self, items: Sequence[_Item], reason: str) -> None:
        for item in items:
            self._metrics.lost.labels(_kind(item), reason).inc()


def split(passages: Sequence[Passage]) -> tuple[StoredPassage, ...]:
    """Passages by their sentences."""
    return tuple(
        StoredPassage(title=p.title, text=p.text, sentences=tuple(p.text[a:b] for a, b in sentences(p.text)))
        for p in passages
    )


def _records(batch: Sequence[_Item]) -> tuple[list[NewResponse], list[NewScores]]:
    responses = [_recorded(item) for item in batch if isinstance(item, _Answered)]
    scores = [
        NewScores(response_id=item.response_id, scored=item.scored.as_json(), **item.by._asdict())
        for item in batch
        if isinstance(item, _Scored)
    ]
    return responses, scores


def _recorded(item: _Answered) -> NewResponse:
    answer, choice = item.answer, item.choice
    return NewResponse(
        id=choice_id(answer.id, choice.index),
        text=choice.text,
        question=item.question,
        passages=split(item.passages),
        profile=answer.policy.profile,
        policy=answer.policy.version,
        weights=rounded(answer.wanted),
        finish_reason=choice.finish_reason,
        caller=item.caller,
    )


def _kind(item: _Item) -> str:
    return "response" if isinstance(item, _Answered) else "scores"
