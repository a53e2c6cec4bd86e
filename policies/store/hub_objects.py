"""Objects in a repository of the Hugging Face hub: `hf://OWNER/REPOSITORY[/PREFIX]`.

A commit names the commit that it follows, and the hub refuses it when there is another one by then.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policies.errors import hub_failures
from policies.store.objects import Changed, Content, StoreAway


class HubObjects:
    """See policies.store.objects.Objects; a tag is the id of a file's content."""

    def __init__(self, url: str) -> None:
        """Raises StoreAway for a URL that names no repository."""
        from huggingface_hub import HfApi

        self.url = url
        owner, _, rest = url.removeprefix("hf://").partition("/")
        name, _, prefix = rest.partition("/")
        if not owner or not name:
            raise StoreAway(url, "write hf://OWNER/REPOSITORY or hf://OWNER/REPOSITORY/PREFIX")
        self._repository, self._prefix = f"{owner}/{name}", f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._api: Any = HfApi()

    def tags(self) -> dict[str, str]:
        """See Objects."""
        with self._calls():
            return self._tags_at(None)

    def tag(self, key: str) -> str:
        """See Objects."""
        with self._calls():
            files = self._api.get_paths_info(self._repository, [self._prefix + key])
        if not files:
            raise FileNotFoundError(key)
        return str(files[0].blob_id)

    def read(self, key: str) -> Content:
        """See Objects."""
        with self._calls():
            commit = self._head()
            files = self._api.get_paths_info(self._repository, [self._prefix + key], revision=commit)
            if not files:
                raise FileNotFoundError(key)
            return Content(self._file(key, commit).read_bytes(), str(files[0].blob_id))

    def download(self, key: str, file: Path) -> None:
        """See Objects."""
        import shutil

        with self._calls():
            shutil.copyfile(self._file(key, None), file)

    def upload(self, file: Path, key: str) -> None:
        """See Objects."""
        with self._calls():
            self._api.upload_file(
                path_or_fileobj=file, path_in_repo=self._prefix + key, repo_id=self._repository,
                commit_message=f"Store {key}",
            )  # fmt: skip

    def replace(self, key: str, data: bytes, tag: str | None) -> str:
        """See Objects."""
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.errors import HfHubHTTPError

        with self._calls():
            head = self._head()
            if self._tags_at(head).get(key) != tag:
                raise Changed(self.url, key)
            operation = CommitOperationAdd(path_in_repo=self._prefix + key, path_or_fileobj=data)
            try:
                self._api.create_commit(
                    self._repository, [operation], commit_message=f"Write {key}", parent_commit=head
                )
            except HfHubHTTPError as error:
                if error.response is not None and error.response.status_code in (409, 412):
                    raise Changed(self.url, key) from None
                raise
        return self.tag(key)

    def _head(self) -> str:
        return str(self._api.repo_info(self._repository).sha)

    def _tags_at(self, commit: str | None) -> dict[str, str]:
        entries = self._api.list_repo_tree(self._repository, recursive=True, revision=commit)
        return {
            entry.path.removeprefix(self._prefix): str(entry.blob_id)
            for entry in entries
            if hasattr(entry, "blob_id") and entry.path.startswith(self._prefix)
        }

    def _file(self, key: str, commit: str | None) -> Path:
        return Path(self._api.hf_hub_download(self._repository, self._prefix + key, revision=commit))

    @contextmanager
    def _calls(self) -> Iterator[None]:
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            yield
        except LocalEntryNotFoundError as error:  # of a file that is not in the cache while the hub is away
            raise StoreAway(self.url, error) from None
        except EntryNotFoundError as error:
            raise FileNotFoundError(str(error)) from None
        except hub_failures() as error:
            raise StoreAway(self.url, error) from None
