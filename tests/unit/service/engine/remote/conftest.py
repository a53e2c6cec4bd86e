"""A vLLM server as far as a client can tell, which answers by the name of the model and can break in every way."""

import asyncio
import json

import pytest
from aiohttp import web


class FakeServer:
    """Says the name of the model that was asked for, word by word, in as many completions as are asked for."""

    def __init__(self):
        self.models = {"base": -1.0, "medium@0123456789ab": -2.0}
        """The log-probability that each model gives every token."""
        self.context = 4096
        self.asked = []
        self.failures = []
        """What becomes of the next requests instead: a status, `reset`; or after the first word: `cut`, `error`, `list`
        for an event that is none of vLLM's, `hang`."""
        self.released = asyncio.Event()
        self._runner = None
        self.port = 0

    async def start(self):
        application = web.Application()
        application.router.add_get("/v1/models", self._listed)
        application.router.add_post("/v1/completions", self._completion)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    async def stop(self):
        self.released.set()
        await self._runner.cleanup()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def _listed(self, request):
        if self.context is None:
            return web.Response(text="<h1>Welcome</h1>")
        cards = [{"id": "medium@0123456789ab", "parent": "base"}, {"id": "base", "max_model_len": self.context}]
        return web.json_response({"data": cards})

    async def _completion(self, request):
        body = await request.json()
        self.asked.append(body)
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, int):
            return web.json_response({"error": {"message": "out of order"}}, status=failure)
        if failure == "reset":
            request.transport.abort()
            return web.Response()
        if body["model"] not in self.models:
            return web.json_response({"error": {"message": f"{body['model']} does not exist"}}, status=404)
        logprob = self.models[body["model"]]
        if body.get("stream"):
            return await self._stream(request, body, logprob, failure)
        entries = [None, *({str(token): {"logprob": logprob}} for token in body["prompt"][1:])]
        return web.json_response({"choices": [{"prompt_logprobs": entries}]})

    async def _stream(self, request, body, logprob, failure):
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for place, word in enumerate(("I", " am", f" {body['model']}")):
            for index in range(body["n"]):
                choice = {"index": index, "text": word, "token_ids": [place], "finish_reason": None}
                if place == 2:
                    choice["finish_reason"] = "stop"
                if body.get("logprobs") is not None:
                    top = {word: logprob, "else": -9.0, "other": -8.0}
                    choice["logprobs"] = {"tokens": [word], "token_logprobs": [logprob], "top_logprobs": [top]}
                await reply.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
            if failure == "cut":
                request.transport.abort()
                return reply
            if failure == "error":
                await reply.write(b'data: {"error": {"message": "the engine is dead"}}\n\ndata: [DONE]\n\n')
                return reply
            if failure == "list":
                await reply.write(b"data: [1]\n\n")
            if failure == "hang":
                await self.released.wait()
        await reply.write(b"data: [DONE]\n\n")
        return reply


@pytest.fixture
async def server():
    fake = FakeServer()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def anyio_backend():
    return "asyncio"
