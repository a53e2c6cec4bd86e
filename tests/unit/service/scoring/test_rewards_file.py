"""A calibrated file of reward models takes over from another one without a restart."""

import asyncio
from types import SimpleNamespace

import pytest

from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FITTED_REWARDS, FeedbackRewards, rewards_version, save_rewards
from rewards.scorer import Scorer
from service.scoring.rewards_file import RewardsFile
from service.served import watch_file as watching_files
from service.served.watch_file import file_signature, watch

pytestmark = pytest.mark.anyio


class Worker:
    """Takes over whatever is asked, unless told to fail."""

    refuses = False

    async def take_over(self, version, then):
        if self.refuses:
            raise FgctlError("no")
        then()


@pytest.fixture
def calibrated():
    """The shipped rewards with another slope of factuality."""
    fitted = FeedbackRewards.load(None).fitted
    heads = fitted.heads.model_copy(update={"factuality": fitted.heads.factuality.scaled(0.5)})
    return fitted.model_copy(update={"heads": heads, "version": rewards_version(heads, fitted.reader)})


@pytest.fixture
def followed(tmp_path):
    """A file of the shipped rewards, what follows it, and the versions that it has announced."""
    path = tmp_path / "rewards.json"
    path.write_bytes(FITTED_REWARDS.read_bytes())
    announced, worker = [], Worker()

    def load():
        return Scorer(FeedbackRewards.load(path))

    follower = RewardsFile(load, load().version, worker, lambda scorer: announced.append(scorer.version))
    return SimpleNamespace(path=path, rewards=follower, worker=worker, announced=announced)


async def test_a_changed_file_is_noticed_and_its_models_are_announced(followed, calibrated, monkeypatch):
    monkeypatch.setattr(watching_files, "EVERY", 0.01)
    watching = asyncio.create_task(
        watch(lambda: file_signature(followed.path), followed.rewards.reload, "the reward models")
    )
    await asyncio.sleep(0.1)
    save_rewards(followed.path, calibrated)
    async with asyncio.timeout(60):
        while not followed.announced:
            await asyncio.sleep(0.01)
    watching.cancel()
    assert followed.announced == [calibrated.version]


async def test_the_same_models_are_not_loaded_again(followed):
    followed.worker.refuses = True
    await followed.rewards.reload()
    assert followed.announced == []


async def test_a_damaged_file_is_refused_and_a_failed_change_is_tried_again(followed, calibrated):
    good = followed.path.read_bytes()
    followed.path.write_bytes(good[:100])
    with pytest.raises(FgctlError, match="is damaged"):
        await followed.rewards.reload()
    save_rewards(followed.path, calibrated)
    followed.worker.refuses = True
    with pytest.raises(FgctlError, match="no"):
        await followed.rewards.reload()
    followed.worker.refuses = False
    await followed.rewards.reload()
    assert followed.announced == [calibrated.version]
