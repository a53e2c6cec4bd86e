import errno
import io
import subprocess
import sys

import pytest
from rich.console import Console

from cli import main, output
from rewards.errors import FgctlError
from trainer.tracking.run_log import RunLog

USERS = "[/x] [title, sentence] [bold]a[/] [red"


@pytest.fixture
def printed(monkeypatch):
    """What goes to the consoles."""
    file = io.StringIO()
    for name in ("remarks", "_tables"):
        console = getattr(output, name)
        monkeypatch.setattr(console, "_file", file)
        monkeypatch.setattr(console, "_width", 200)
    return file


def test_a_users_text_in_brackets_is_printed_as_it_is(printed):
    output.remarks.print(USERS)
    output.print_table(USERS, [USERS], [[USERS]])
    output.print_styled("bold", USERS, USERS)
    assert printed.getvalue().count(USERS) == 6


def test_a_users_text_in_brackets_is_shown_as_it_is_while_something_runs(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(output, "remarks", Console(file=file, force_terminal=True, width=200, color_system=None))
    with output.busy(USERS):
        pass
    with output.steps(USERS) as advance:
        advance(1, 1, 0.0)
    with output.counting(USERS, 1) as count:
        count(1)
    assert file.getvalue().count(USERS) >= 3


def test_a_runs_log_prints_brackets_as_they_are(tmp_path, monkeypatch):
    log = RunLog(tmp_path, USERS, total=1, start=0)
    file = io.StringIO()
    monkeypatch.setattr(log._progress.console, "_file", file)
    monkeypatch.setattr(log._progress.console, "_width", 200)
    with log:
        log.step(0, {"loss": 1.0}, USERS)
        log.warn({"length": USERS})
    assert file.getvalue().count(USERS) >= 4


def fail(monkeypatch, error):
    def app():
        raise error

    monkeypatch.setattr(main, "app", app)
    with pytest.raises(SystemExit) as stopped:
        main.main()
    assert stopped.value.code == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FgctlError(f"There is no profile '{USERS}'."), f"fgctl: There is no profile '{USERS}'."),
        (OSError(errno.ENOSPC, "No space left on device"), "fgctl: The disk is full ([Errno 28] No space left on"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "fgctl: A file cannot be read or written ([Errno"),
        (FileExistsError(errno.EEXIST, "File exists", "/x"), "fgctl: Something else is where a file or a directory"),
    ],
)
def test_an_error_is_one_sentence(monkeypatch, printed, error, message):
    fail(monkeypatch, error)
    assert printed.getvalue().startswith(message)
    assert printed.getvalue().count("\n") == 1


def test_another_fault_of_the_system_keeps_its_traceback(monkeypatch):
    with pytest.raises(OSError, match="odd"):
        fail(monkeypatch, OSError(errno.EIO, "odd"))


@pytest.mark.slow
def test_a_profile_in_brackets_is_refused_in_one_line():
    arguments = ["-m", "cli", "train", "--weights", "1,1,1", "--profile", "[/x]"]
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("fgctl: '[/x]' is not a name; ")
    assert result.stderr.count("\n") == 1
