"""Objects in a repository of the hub, over a stand-in for its client that has the client's own signatures."""

import hashlib
import socket
from functools import partial
from types import SimpleNamespace
from unittest import mock

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from policies.store.hub_objects import HubObjects
from policies.store.objects import Changed, StoreAway


class Repository:
    """Commits, each the files of the one before and what it changes."""

    def __init__(self, tmp_path):
        self.commits, self._scratch = [{"README.md": b"# mine"}], tmp_path
        self.before_commit = lambda: None
        """Is called once before the next commit, as somebody else's."""

    def _files(self, revision):
        return self.commits[-1 if revision is None else int(revision)]

    @staticmethod
    def _entry(path, data):
        return SimpleNamespace(path=path, blob_id=hashlib.sha1(data).hexdigest())  # noqa: S324  # as git names blobs

    def repo_info(self, repo_id):
        return SimpleNamespace(sha=str(len(self.commits) - 1))

    def list_repo_tree(self, repo_id, recursive=False, revision=None):
        return [SimpleNamespace(path="store"), *(self._entry(*file) for file in self._files(revision).items())]

    def get_paths_info(self, repo_id, paths, revision=None):
        files = self._files(revision)
        return [self._entry(path, files[path]) for path in paths if path in files]

    def hf_hub_download(self, repo_id, filename, revision=None):
        file = self._scratch / "file"
        file.write_bytes(self._files(revision)[filename])
        return str(file)

    def upload_file(self, path_or_fileobj, path_in_repo, repo_id, commit_message):
        self.commits.append(self.commits[-1] | {path_in_repo: path_or_fileobj.read_bytes()})

    def create_commit(self, repo_id, operations, commit_message, parent_commit):
        before, self.before_commit = self.before_commit, lambda: None
        before()
        if parent_commit != str(len(self.commits) - 1):
            request = httpx.Request("POST", "https://hub")
            raise HfHubHTTPError("a newer commit exists", response=httpx.Response(412, request=request))
        (operation,) = operations
        self.commits.append(self.commits[-1] | {operation.path_in_repo: operation.path_or_fileobj})


@pytest.fixture
def repository(tmp_path, monkeypatch):
    made, client = Repository(tmp_path), mock.create_autospec(HfApi, instance=True)
    for name in ("repo_info", "list_repo_tree", "get_paths_info", "hf_hub_download", "upload_file", "create_commit"):
        getattr(client, name).side_effect = getattr(made, name)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: client)
    return made


def test_objects_lie_under_their_prefix_and_are_read_with_the_tag_of_what_is_read(repository, tmp_path):
    objects = HubObjects("hf://me/policies/store")
    assert objects.tags() == {}
    first = objects.replace("profiles.toml", b"one", None)
    (tmp_path / "adapter").write_bytes(b"weights")
    objects.upload(tmp_path / "adapter", "medium/v/adapter")
    assert objects.read("profiles.toml") == (b"one", first)
    assert objects.tags() == {"profiles.toml": first, "medium/v/adapter": objects.tag("medium/v/adapter")}
    objects.download("medium/v/adapter", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"weights"
    assert set(repository.commits[-1]) == {"README.md", "store/profiles.toml", "store/medium/v/adapter"}
    for read in (objects.read, objects.tag):
        with pytest.raises(FileNotFoundError):
            read("nothing")


def test_an_object_is_replaced_only_if_nobody_was_first(repository):
    objects = HubObjects("hf://me/policies")
    first = objects.replace("profiles.toml", b"one", None)
    second = objects.replace("profiles.toml", b"two", first)
    for stale in (first, None):
        with pytest.raises(Changed):
            objects.replace("profiles.toml", b"three", stale)
    repository.before_commit = lambda: repository.commits.append(repository.commits[-1] | {"profiles.toml": b"theirs"})
    with pytest.raises(Changed):
        objects.replace("profiles.toml", b"three", second)
    assert objects.read("profiles.toml").data == b"theirs"


@pytest.fixture
def away(monkeypatch):
    """The hub's own client, with a hub that nobody serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(
            "huggingface_hub.HfApi", partial(HfApi, endpoint=f"http://127.0.0.1:{free.getsockname()[1]}")
        )


def test_a_hub_that_is_away_is_told_in_a_sentence(away):
    objects = HubObjects("hf://me/policies")
    for call in (partial(objects.read, "profiles.toml"), partial(objects.replace, "profiles.toml", b"one", None)):
        with pytest.raises(StoreAway, match=r"hf://me/policies cannot be used"):
            call()


def test_a_hub_that_goes_away_during_a_download_lacks_no_file(repository, tmp_path):
    def fail(*_, **__):
        raise LocalEntryNotFoundError("cannot find the requested files in the local cache")

    objects = HubObjects("hf://me/policies")
    objects._api.hf_hub_download.side_effect = fail
    with pytest.raises(StoreAway):
        objects.download("medium/v/adapter", tmp_path / "copy")


def test_a_client_that_is_set_offline_says_so(repository):
    def fail(*_, **__):
        raise OfflineModeIsEnabled("offline mode is enabled")

    objects = HubObjects("hf://me/policies")
    objects._api.list_repo_tree.side_effect = fail
    with pytest.raises(StoreAway, match="offline mode is enabled"):
        objects.tags()


def test_a_hub_that_refuses_is_told_in_a_sentence(repository):
    def refuse():
        request = httpx.Request("POST", "https://hub")
        raise HfHubHTTPError("you may not write", response=httpx.Response(403, request=request))

    repository.before_commit = refuse
    with pytest.raises(StoreAway, match=r"hf://me/policies cannot be used"):
        HubObjects("hf://me/policies").replace("profiles.toml", b"one", None)
