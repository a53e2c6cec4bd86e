"""The database's file."""

import os
import stat

import pytest

from service.feedback.store.feedback_store import open_store

pytestmark = pytest.mark.anyio


async def test_sqlites_files_are_their_owners_alone(tmp_path):
    before = os.umask(0o022)
    try:
        store = await open_store(f"sqlite:///{tmp_path}/feedback/feedback.db", 0.1)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "feedback").iterdir()}
        await store.close()
    finally:
        os.umask(before)
    assert "feedback.db" in modes
    assert set(modes.values()) == {0o600}


async def test_a_file_that_is_there_keeps_its_permissions(tmp_path):
    file = tmp_path / "feedback.db"
    file.touch(0o640)
    file.chmod(0o640)
    await (await open_store(f"sqlite:///{file}", 0.1)).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
