"""Where adapters are exchanged: a directory, or a repository on the Hugging Face Hub as hf://org/name."""

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from policies.errors import hub_failures
from rewards.errors import FgctlError

_HUB = "hf://"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Directory:
    """A directory of this machine."""

    path: Path

    def beside(self, name: str) -> "Directory":
        """The place of something that belongs to what is here: a directory in this one."""
        return Directory(self.path / name)

    @property
    def model_name(self) -> str:
        """What `from_pretrained` loads from here."""
        return str(self.path.absolute())

    def require_free(self) -> None:
        """Raises FgctlError when there is something already, which is not overwritten, or a file in the way."""
        above = next((path for path in self.path.absolute().parents if path.exists()), self.path)
        if not above.is_dir():
            raise FgctlError(f"{above} is a file, so {self.path} cannot be made; name another directory.")
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise FgctlError(f"{self.path} exists already; name a new directory, or remove it.")

    def put(self, write: Callable[[Path], None]) -> None:
        """Let `write` fill a directory, which appears here once it is whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{self.path.name}-", dir=self.path.parent))
        try:
            write(scratch)
            scratch.chmod(0o755)
            if self.path.is_dir():
                self.path.rmdir()  # which is empty
            scratch.rename(self.path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def fetch(self, names: list[str]) -> Path:
        """The directory itself."""
        if not self.path.is_dir():
            raise FgctlError(f"{self.path} is not a directory; name one that PEFT has saved an adapter in.")
        return self.path


@dataclass(frozen=True)
class Repository:
    """A repository of models on the Hub."""

    name: str

    def beside(self, name: str) -> "Repository":
        """The place of something that belongs to what is here: a repository of a longer name."""
        return Repository(f"{self.name}-{name}")

    @property
    def model_name(self) -> str:
        """What `from_pretrained` loads from here."""
        return self.name

    def require_free(self) -> None:
        """Do nothing: the Hub keeps what was there as an earlier revision."""

    def put(self, write: Callable[[Path], None]) -> None:
        """Let `write` fill a directory, and upload it. Raises FgctlError when the Hub refuses it."""
        from huggingface_hub import HfApi

        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch))
            api = HfApi()
            try:
                api.create_repo(self.name, exist_ok=True)
                api.upload_folder(repo_id=self.name, folder_path=scratch, commit_message="Export of fgctl")
            except hub_failures(OSError) as error:
                reason = next(iter(str(error).splitlines()), "") or type(error).__name__
                raise FgctlError(
                    f"The Hub does not take {self.name} ({reason}); check its name and the network, or log in by "
                    "`hf auth login` with a token that may write there."
                ) from None

    def fetch(self, names: list[str]) -> Path:
        """A directory with those of the named files that are there. Raises FgctlError when it cannot be reached."""
        from huggingface_hub import snapshot_download

        try:
            return Path(snapshot_download(self.name, allow_patterns=names))
        except hub_failures(OSError) as error:
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise FgctlError(f"{self.name} cannot be fetched from the Hub ({reason}); check its name.") from None


Place = Directory | Repository


def place(text: str) -> Place:
    """The place that a text names. Raises FgctlError for a repository without an organisation or user."""
    if not text.startswith(_HUB):
        return Directory(Path(text).expanduser())
    name = text.removeprefix(_HUB)
    if not _REPOSITORY.fullmatch(name):
        raise FgctlError(f"{text[:100]!r} names no repository; write hf://ORGANISATION/NAME.")
    return Repository(name)
