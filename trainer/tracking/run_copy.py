"""A copy of a run's directory behind a URL, from which any machine continues the run.

An index names the step, and the SHA-256 of every file; the files are named by it. The index is replaced last, and only
where no other training has replaced it meanwhile, so a kill at any moment leaves a whole copy: the new one or the one
before.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.store.objects import Changed, CloudObjects, Content, StoreAway
from rewards.dataset import file_digest
from rewards.errors import FgctlError
from trainer.tracking.checkpoint import load_checkpoint
from trainer.tracking.run_log import RunLog

INDEX = "run.json"
_SUFFIXES_LEFT_OUT = (".lock", ".new")
_LEFT_OUT = ("tensorboard", "rollouts", "adapter")
"""What a run does not need to continue, or makes again."""


@dataclass
class RunCopy:
    """The copy of a run, which the main process keeps."""

    objects: CloudObjects
    run: Path
    _tag: str | None = None
    """That of the index, as this process has read or written it."""
    _written: bytes | None = None
    """The index that it wrote last, or tried to."""

    def fetch(self) -> None:
        """Bring the copy to this machine, unless the run is as far here, or further. Call it once, before `push`.

        Raises FgctlError for a copy that is damaged, and StoreAway, also where nothing can be copied to.
        """
        content = self._read()
        if content is None:
            self.objects.tags()  # which is refused where there is no bucket either
            return
        self._tag, index = content.tag, self._parsed(content)
        here = load_checkpoint(self.run)
        if here is not None and index["step"] <= int(here["step"]):
            return
        # The checkpoint last: without it, the run would begin anew, and fetch again.
        for name in sorted(index["files"], key=lambda name: name.endswith(".pt")):
            self._download(name, index["files"][name])

    def push(self, step: int) -> str | None:
        """Bring the copy up to date. Returns why that was not possible now, or None; the next call tries again.

        Raises FgctlError when another training has changed the copy.
        """
        files = {name: file_digest(path) for name, path in self._files()}
        index = json.dumps({"step": step, "files": files}, indent=1).encode()
        try:
            content = self._read()
            if content is not None and content.data == self._written:
                self._tag = content.tag  # it was written, although the reply did not arrive
            former = self._parsed(content)["files"] if content else {}
            for name, digest in files.items():
                if digest not in former.values():
                    self.objects.upload(self.run / name, _key(digest))
            self._written = index
            self._tag = self.objects.replace(INDEX, index, self._tag)
            for digest in {*former.values()} - {*files.values()}:
                self.objects.remove(_key(digest))
        except Changed:
            raise FgctlError(
                f"Another training writes to {self.objects.url}; end one of the two, or name another URL with --run."
            ) from None
        except StoreAway as error:
            return str(error).removesuffix(".")
        return None

    def _read(self) -> Content | None:
        try:
            return self.objects.read(INDEX)
        except FileNotFoundError:
            return None

    def _parsed(self, content: Content) -> dict[str, Any]:
        try:
            index: dict[str, Any] = json.loads(content.data)
        except ValueError:
            raise FgctlError(f"{INDEX} in {self.objects.url} is damaged; restore it, or name another URL.") from None
        return index

    def _files(self) -> list[tuple[str, Path]]:
        paths = [path for path in sorted(self.run.rglob("*")) if path.is_file()]
        named = [(path.relative_to(self.run), path) for path in paths if path.suffix not in _SUFFIXES_LEFT_OUT]
        return [(name.as_posix(), path) for name, path in named if name.parts[0] not in _LEFT_OUT]

    def _download(self, name: str, digest: str) -> None:
        target = self.run / name
        scratch = target.with_name(f"{target.name}.new")
        if not target.resolve().is_relative_to(self.run.resolve()):
            raise FgctlError(f"{INDEX} in {self.objects.url} names {name!r}, which is no file of a run.")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.objects.download(_key(digest), scratch)
        except FileNotFoundError:
            raise FgctlError(f"{name} is missing in {self.objects.url}; restore it, or name another URL.") from None
        if file_digest(scratch) != digest:
            scratch.unlink()
            raise FgctlError(f"{name} in {self.objects.url} is damaged; restore it, or name another URL.")
        scratch.replace(target)


def keep_copy(copy: RunCopy | None, step: int, log: RunLog | None) -> None:
    """Bring a run's copy up to date, if it has one; the log says why that was not possible. Raises like `push`."""
    if copy is not None and (reason := copy.push(step)) and log is not None:
        log.say(step, f"The run goes on, but its copy is out of date: {reason}", warning=True)


def _key(digest: str) -> str:
    return f"files/{digest}"
