"""Objects behind a URL: read, listed, and replaced only where nobody else has replaced them meanwhile.

obstore does this for Amazon S3 and what speaks its protocol (`s3://BUCKET/PREFIX`), Google Cloud Storage (`gs://`) and
Azure (`az://ACCOUNT/CONTAINER/PREFIX`). It takes credentials from the variables that these services' own tools read,
such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL, and from the machine's role. It also reads from services over HTTP, with
the key $FGCTL_API_KEY.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rewards.errors import FgctlError

_SECONDS = timedelta(seconds=20)
"""The most that a small object may take."""
_TRANSFER_SECONDS = timedelta(seconds=600)
"""The most that a part of an adapter may take."""
_CONNECT_SECONDS = timedelta(seconds=5)


class StoreAway(FgctlError):
    """A store that does not answer, or refuses this machine."""

    def __init__(self, url: str, reason: object) -> None:
        short = (next(iter(str(reason).splitlines()), "") or type(reason).__name__)[:200]
        super().__init__(
            f"The policy store {url} cannot be used ({short}); check the URL, its credentials and network."
        )


class Changed(FgctlError):
    """An object that was replaced by somebody else since it was read."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(f"{key} in {url} is being changed by others all the time; run the command again.")


class Content(NamedTuple):
    """An object as it was read."""

    data: bytes
    tag: str
    """Another one whenever the content is."""


class Objects(Protocol):
    """What a store of policies needs. Every method raises StoreAway, and FileNotFoundError for what is not there."""

    url: str

    def tags(self) -> dict[str, str]:
        """The tag of every object, by its key."""

    def tag(self, key: str) -> str:
        """The tag of an object."""

    def read(self, key: str) -> Content:
        """An object."""

    def download(self, key: str, file: Path) -> None:
        """Write an object to a file, however large it is."""

    def upload(self, file: Path, key: str) -> None:
        """Write a file to an object."""

    def replace(self, key: str, data: bytes, tag: str | None) -> str:
        """Replace an object that still has this tag; with None, make one that is not there yet. Returns the new tag.

        Raises Changed otherwise.
        """


class CloudObjects:
    """Objects in a bucket or a container, or behind an HTTP server that is only read."""

    def __init__(self, url: str) -> None:
        """Raises StoreAway for a URL that names no store."""
        self.url = url
        key = os.environ.get("FGCTL_API_KEY") if url.startswith("http") else None
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._quick, self._patient = self._store(_SECONDS), self._store(_TRANSFER_SECONDS)
        # A second attempt would be refused where the first has succeeded and only its reply was lost.
        self._once = self._store(_SECONDS, retries=0)

    def tags(self) -> dict[str, str]:
        """See Objects."""
        import obstore

        with self._calls():
            return {meta["path"]: _tag(meta) for batch in obstore.list(self._quick) for meta in batch}

    def tag(self, key: str) -> str:
        """See Objects."""
        import obstore

        with self._calls():
            return _tag(obstore.head(self._quick, key))

    def read(self, key: str) -> Content:
        """See Objects."""
        import obstore

        with self._calls():
            result = obstore.get(self._quick, key)
            return Content(bytes(result.bytes()), _tag(result.meta))

    def download(self, key: str, file: Path) -> None:
        """See Objects."""
        import obstore

        with self._calls(), file.open("wb") as out:
            for chunk in obstore.get(self._patient, key).stream():
                out.write(chunk)

    def upload(self, file: Path, key: str) -> None:
        """See Objects."""
        import obstore

        with self._calls(writes=True):
            obstore.put(self._patient, key, file)

    def replace(self, key: str, data: bytes, tag: str | None) -> str:
        """See Objects."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        expected: Any = "create" if tag is None else _expected(tag)
        # What somebody has removed is not there to be replaced.
        changed = (AlreadyExistsError, PreconditionError, *([] if tag is None else [FileNotFoundError]))
        with self._calls(writes=True):
            try:
                return _tag(obstore.put(self._once, key, data, mode=expected, use_multipart=False))
            except changed:
                raise Changed(self.url, key) from None

    def remove(self, key: str) -> None:
        """Remove an object, if it is there. Raises StoreAway."""
        import obstore

        with suppress(FileNotFoundError), self._calls():
            obstore.delete(self._quick, key)

    def _store(self, seconds: timedelta, retries: int = 2) -> Any:
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        client: Any = {"timeout": seconds, "connect_timeout": _CONNECT_SECONDS, "allow_http": True}
        client |= {"default_headers": self._headers} if self._headers else {}
        retry: Any = {"max_retries": retries, "retry_timeout": seconds}
        try:
            return from_url(self.url, client_options=client, retry_config=retry)
        except (BaseError, ValueError) as error:
            raise StoreAway(self.url, error) from None

    @contextmanager
    def _calls(self, *, writes: bool = False) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if writes:  # no object has to be there for that, but its bucket
                raise StoreAway(self.url, error) from None
            raise FileNotFoundError(str(error)) from None
        except (BaseError, TimeoutError) as error:
            raise StoreAway(self.url, error) from None


def _tag(meta: Any) -> str:
    """ETag and generation: Google's conditional writes compare the latter."""
    return f"{meta.get('e_tag') or ''} {meta.get('version') or ''}"


def _expected(tag: str) -> dict[str, str]:
    """A tag in obstore's terms."""
    e_tag, _, version = tag.partition(" ")
    return {name: value for name, value in (("e_tag", e_tag), ("version", version)) if value}


def e_tag(tag: str) -> str:
    """The part of a tag that a listing has, too."""
    return tag.partition(" ")[0]


def open_objects(url: str) -> Objects:
    """The objects behind a URL. Raises StoreAway."""
    if url.startswith("hf://"):
        from policies.store.hub_objects import HubObjects

        return HubObjects(url)
    return CloudObjects(url)
