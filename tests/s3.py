"""Amazon S3, as moto's server has it, over HTTP."""

import threading
import uuid

import httpx
from werkzeug.serving import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log(self, *arguments):
        pass


class S3Server:
    """A server that can be away."""

    def __init__(self, port=0):
        from moto.server import DomainDispatcherApplication, create_backend_app

        self.application = DomainDispatcherApplication(create_backend_app)
        self.port = port
        self.start()

    def start(self):
        # One request at a time, so that a conditional write compares and writes in one step, as S3 does.
        self._server = make_server("127.0.0.1", self.port, self.application, threaded=False, request_handler=_Quiet)
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def bucket(self):
        """The URL of an empty store in a new bucket."""
        name = f"policies-{uuid.uuid4().hex[:12]}"
        httpx.put(f"{self.endpoint}/{name}", timeout=300).raise_for_status()
        return f"s3://{name}/store"

    @property
    def environment(self):
        """What clients need to find it."""
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
        return keys | {"AWS_ENDPOINT_URL": self.endpoint}
