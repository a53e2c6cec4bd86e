"""Restarting with libraries preloaded."""

import os
import sys

import pytest

from cli.preload import restart_with_libraries


@pytest.fixture
def restarts(monkeypatch):
    """The restarts of this program: their arguments, and whether they are marked as such."""
    seen = []
    monkeypatch.setattr(os, "execve", lambda file, argv, env: seen.append((file, argv[1:], env.get("FGCTL_PRELOADED"))))
    monkeypatch.delenv("FGCTL_PRELOADED", raising=False)
    return seen


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux preloads")
@pytest.mark.parametrize("command", ["serve", "sft", "train", "evaluate", "experiment"])
def test_a_command_that_runs_models_restarts_once(restarts, monkeypatch, command):
    restart_with_libraries([command, "--json"])
    assert restarts == [(sys.executable, ["-P", "-m", "cli", command, "--json"], "1")]
    monkeypatch.setenv("FGCTL_PRELOADED", "1")
    restart_with_libraries([command, "--json"])
    assert len(restarts) == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["policies", "list"], ["feedback", "train"]])
def test_other_commands_start_as_they_are(restarts, arguments):
    restart_with_libraries(arguments)
    assert restarts == []
