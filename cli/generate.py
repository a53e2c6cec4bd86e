"""`fgctl generate`."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import busy, print_json, print_styled
from policies.names import DEFAULT_PROFILE
from rewards.errors import FgctlError

if TYPE_CHECKING:
    import httpx


def generate(
    question: Annotated[str, typer.Argument(help="The question to answer.")],
    profile: Annotated[str | None, typer.Option(help="Profile that answers.", show_default=DEFAULT_PROFILE)] = None,
    weights: Annotated[str | None, typer.Option(help="w1,w2,w3 or name=w,… instead of a profile.")] = None,
    passages: Annotated[
        Path | None,
        typer.Option(help='A JSON list of {"title", "text"}, or a text file with a blank line between passages.'),
    ] = None,
    server: Annotated[
        str, typer.Option(help="URL of a running service.", envvar="FGCTL_SERVER")
    ] = "http://127.0.0.1:8000",
    api_key: Annotated[
        str | None, typer.Option(help="API key, if the service requires one.", envvar="FGCTL_API_KEY")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Generate in this process, without a service.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer while it is generated.")] = False,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Maximum length of the answer, in tokens.")] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="Sampling temperature; 0 always takes the likeliest token.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same answer.")] = None,
    best_of: Annotated[
        int | None, typer.Option(min=1, help="Number of samples; the reward models choose the best.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the whole response as JSON.")] = False,
) -> None:
    """Answer a question with a profile's policy, through a running service or in this process."""
    from rewards.json_rows import unencodable

    options = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed, "best_of": best_of}
    body: dict[str, Any] = {
        "question": question,
        "passages": _read_passages(passages),
        "stream": stream and not json_output,
        **{name: value for name, value in options.items() if value is not None},
    }
    if unencodable(body) is not None:
        raise FgctlError("Question or passages hold half of a surrogate pair; send valid Unicode.")
    answer = _local if local else partial(_remote, api_key)
    response: dict[str, Any] = {}
    for event, data in answer(server, body, profile, weights):
        if event == "token":
            print(data["text"], end="", flush=True)
        elif event == "done":
            response = data
    if json_output:
        print_json(response)
    else:
        print(response["text"] if "text" in response and not body["stream"] else "")
        print_styled("dim", f"{response['profile']}@{response['policy']['version']}, {response['id']}")


def _read_passages(path: Path | None) -> list[dict[str, str]]:
    if path is None:
        return []
    from rewards.dataset import parse_passages

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} cannot be read ({error}); check --passages.") from None
    if path.suffix != ".json":
        return [{"title": "", "text": block.strip()} for block in text.split("\n\n") if block.strip()]
    try:
        return [passage.model_dump() for passage in parse_passages(json.loads(text))]
    except ValueError as error:
        raise FgctlError(f'{path}: {error}; give a JSON list of {{"title", "text"}}.') from None


def _remote(
    api_key: str | None, server: str, body: dict[str, Any], profile: str | None, weights: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a service's answer; an answer that is not streamed is a single `done`."""
    import httpx

    query = {name: value for name, value in (("profile", profile), ("weights", weights)) if value is not None}
    headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
    sent = {"params": query, "json": body, "headers": headers, "timeout": httpx.Timeout(600, connect=5)}
    try:
        with httpx.stream("POST", f"{server.rstrip('/')}/generate", **sent) as reply:  # type: ignore[arg-type]
            if reply.status_code != 200:
                raise FgctlError(_refusal(reply))
            if body["stream"]:
                yield from _events(reply.iter_lines())
            else:
                yield "done", json.loads(reply.read())
    except httpx.ConnectError:
        raise FgctlError(f"No service answers at {server}; start one with `fgctl serve`, or add --local.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FgctlError(f"The connection to {server} failed ({error}); check the service's log.") from None


def _refusal(reply: "httpx.Response") -> str:
    try:
        return str(json.loads(reply.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{reply.url} answered with status {reply.status_code}, but not like an fgctl service; check --server."


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    event = ""
    for line in lines:
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            if event == "error":
                raise FgctlError(data["error"]["message"])
            yield event, data
            if event == "done":
                return
    raise FgctlError("The service stopped in the middle of the answer; check its log.")


def _local(
    server: str, body: dict[str, Any], profile: str | None, weights: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same events from the service's backend, started in this process for a single answer."""
    import asyncio

    from service.api.generate.protocol import GenerateRequest, GenerateResponse
    from service.api.generate.translate import to_events, to_request
    from service.backend import Backend
    from service.settings import Settings

    request = _validated(GenerateRequest, body)
    backend = Backend(Settings())
    with asyncio.Runner() as runner:
        try:
            with busy("Loading the policies"):
                runner.run(backend.start())
            asked = to_request(request, backend.categories, profile=profile, weights=weights)
            events = to_events(backend.pipeline.stream(runner.run(backend.pipeline.prepare(asked))))
            while (event := runner.run(anext(events, None))) is not None:
                if isinstance(event, GenerateResponse):
                    yield "done", event.model_dump()
                elif body["stream"]:
                    yield "token", {"text": event}
        finally:
            runner.run(backend.stop())


def _validated(model: Any, body: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise FgctlError(str(first.get("ctx", {}).get("error", first["msg"]))) from None
