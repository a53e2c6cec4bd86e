"""One service for every test in this folder: as `make serve` runs it, with the policies that ship."""

import pytest

HANGS_AFTER = 30
"""Seconds after which an engine that does not answer counts as hung."""
DRAIN = 60
"""Seconds that answers may take once it was told to stop, which the last test does."""


@pytest.fixture(scope="package")
def server(start, tmp_path_factory):
    """The service. It ends with the last test of this folder."""
    feedback = tmp_path_factory.mktemp("feedback")
    started = start(
        FGCTL_FEEDBACK_STORE=f"sqlite:///{feedback}/feedback.db",
        FGCTL_DRAIN_SECONDS=str(DRAIN),
        FGCTL_ENGINE_TIMEOUT=str(HANGS_AFTER),
        FGCTL_SCORING_TIMEOUT="45",
    )
    yield started
    started.process.terminate()
    started.process.wait(60)
