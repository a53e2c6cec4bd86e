"""What every tier uses."""

import os

import pytest

_STARTED_IN = dict(os.environ)


@pytest.fixture(scope="session")
def environment():
    """The environment of a user's shell: that of the suite before engines in this process added to it."""
    return dict(_STARTED_IN)
