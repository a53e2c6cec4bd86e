"""The service's settings: environment variables with the prefix FGCTL_, validated before anything loads."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _either(name: str) -> AliasChoices:
    """A variable with the prefix, or the one that the tool's own clients read."""
    return AliasChoices(f"FGCTL_{name}", name, name.lower())


class Settings(BaseSettings):
    """Settings of one service process: `FGCTL_MAX_BODY_BYTES=65536` sets `max_body_bytes`, and so on."""

    model_config = SettingsConfigDict(
        env_prefix="FGCTL_", env_ignore_empty=True, frozen=True, use_attribute_docstrings=True
    )

    base: str | None = None
    """Base model: a Hugging Face directory or name; None for the embedded default."""
    policies: str | Path | None = None
    """The policy store's directory or URL; None for the policies that come with fgctl."""
    engine_url: str | None = None
    """Where the engine is if it is elsewhere: a vLLM server or a router before several; None starts one here."""
    engine_key: SecretStr | None = None
    """The API key of that engine, if it needs one."""
    rewards: Path | None = None
    """File of fitted reward models; None for those that come with fgctl."""
    categories: Path | None = None
    """File of categories beyond the built-in ones; None for the built-in ones alone."""
    max_prompt_tokens: int = Field(1024, ge=64)
    """Tokens of a prompt; passages are cut to fit, questions never."""
    max_tokens: int = Field(1024, ge=1)
    """The most tokens that a request may ask for; prompt and response together are the engine's context."""
    max_best_of: int = Field(16, ge=1)
    """The most completions to sample of one prompt, to return all (`n`) or the best (`best_of`)."""
    best_of_timeout: float = Field(30.0, gt=0)
    """Seconds that `best_of` may wait for scores; after that the first completion is the answer."""
    max_prompts: int = Field(64, ge=1)
    """The most prompts in one request of /v1/completions."""
    max_num_seqs: int | None = Field(None, ge=1)
    """Sequences that each rank of the engine decodes at once; further requests wait. None for 32 on a CPU, 256 on a
    GPU."""
    engine_args: Annotated[tuple[str, ...], NoDecode] = ()
    """Arguments of vLLM's engine, as on a command line: `--tensor-parallel-size 4 --quantization fp8`."""
    max_body_bytes: int = Field(1 << 20, ge=1024)
    """Bytes of a request's body; larger ones are answered by 413."""
    max_head_bytes: int = Field(32_768, ge=1024)
    """Bytes of a request's URL and headers together; longer ones are answered by 431."""
    receive_timeout: float = Field(30.0, gt=0)
    """Seconds within which a request's headers must arrive, and then its body."""
    send_timeout: float = Field(10.0, gt=0)
    """Seconds for which a client may read nothing of a response that waits for it; then its connection is closed."""
    keep_alive_timeout: float = Field(75.0, gt=0)
    """Seconds that an idle connection stays open; pooled clients and load balancers should close theirs earlier."""
    max_connections: int | None = Field(None, ge=1)
    """Connections at once; more close the one that has been idle longest. None for what the system's limits allow."""
    waiting_requests: int = Field(512, ge=0)
    """Requests that may wait for the engine; more are answered by 503."""
    waiting_tokens: int = Field(1 << 20, ge=0)
    """Tokens of all waiting requests: their prompts and the most they may write; more are answered by 503."""
    queue_timeout: float = Field(60.0, gt=0)
    """Seconds that a request may wait for the engine before it is answered by 503."""
    request_timeout: float = Field(300.0, gt=0)
    """Seconds that a request may take in total; then generation is aborted and it is answered by 503."""
    engine_timeout: float = Field(60.0, gt=0)
    """Seconds within which the engine must answer, between two of its steps; then it counts as hung and is replaced."""
    engine_start_timeout: float = Field(1800.0, gt=0)
    """Seconds that the engine may take to start; then the start counts as failed."""
    caller_concurrency: int | None = Field(None, ge=1)
    """Completions of one caller that may wait or run; None for no limit. A key's own limit takes precedence."""
    caller_requests_per_minute: int | None = Field(None, ge=1)
    """Requests that one caller may send per minute; None for no limit."""
    caller_tokens_per_minute: int | None = Field(None, ge=1)
    """Tokens that one caller may use per minute, in prompts and responses; None for no limit."""
    limits_url: str | None = None
    """Where all replicas count what callers use: `redis://…` or `postgresql://…`; None counts in each by itself."""
    limits_fail: Literal["open", "closed"] = "open"
    """While that cannot be asked: `open` lets requests pass by each replica's own count, `closed` refuses callers that
    have limits."""
    keys: Path | None = None
    """File of API keys, written by `fgctl keys`. With None no key is required, and only this machine can connect."""
    open: bool = False
    """Accept connections from other machines without keys."""
    hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names, separated by commas, by which a service that asks for no key may be addressed besides localhost."""
    metrics_open: bool = True
    """Whether GET /metrics is public; otherwise it requires a key with the scope `metrics`."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose web pages may call the service, separated by commas."""
    log_format: Literal["json", "text"] | None = None
    """Format of log lines; None for text on a terminal and JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged; `debug` includes probes and scrapes."""
    log_prompts: bool = False
    """Write prompts to the log. They may contain private data."""
    traces: bool | None = None
    """Send OpenTelemetry traces; None to send them if OTEL_EXPORTER_OTLP_ENDPOINT is set."""
    trace_content: bool = False
    """Record prompts and answers in the traces. They may contain private data."""
    scoring_share: float = Field(1.0, ge=0, le=1)
    """Share of the responses to score, drawn by their ids; the others count as dropped."""
    scoring_shares: Annotated[dict[str, float], NoDecode] = Field({})
    """Shares of single profiles that differ from it: `medium=0.1,long=0.5`."""
    scoring_processes: int = Field(1, ge=1)
    """Processes that score, each on one thread of low priority."""
    scoring_queue: int = Field(256, ge=1)
    """Responses that may wait to be scored; beyond that, an even share of each profile's is dropped and counted."""
    scoring_batch: int = Field(8, ge=1)
    """Responses scored in one call."""
    scoring_timeout: float = Field(120.0, gt=0)
    """Seconds that a scoring call may take; then its worker is replaced and the call's responses are dropped."""
    score_items: int = Field(64, ge=1)
    """The most responses in one request to POST /score."""
    score_waiting: int = Field(256, ge=1)
    """Responses of POST /score that may wait for their scores; requests beyond that are answered by 503."""
    score_labels: int = Field(50, ge=1)
    """Pairs of profile and policy that POST /score may add to the metrics; further ones count as `other`."""
    recent_responses: int = Field(10_000, ge=1)
    """Responses kept in memory for GET /responses/{id}; the oldest are removed first."""
    weights_grid: int = Field(20, ge=1, le=1000)
    """Steps from weight 0 to 1. Weights without a trained policy are rounded to this grid, to limit mixtures."""
    resident_adapters: int = Field(8, ge=1)
    """Mixtures and versions that the engine holds at once, besides the current versions."""
    mixtures: str | Path | None = None
    """Directory or URL of stored mixtures; None for the user's cache."""
    stored_mixtures: int = Field(200, ge=1)
    """Mixtures stored there; the least recently used are removed first."""
    watch_policies: bool = True
    """Whether to follow promotions, and a changed file of reward models, as they happen; POST /admin/reload does it in
    any case."""
    feedback_store: str | None = None
    """Where answers, scores and feedback are stored: `sqlite:///PATH` or `postgresql://…`; None stores nothing."""
    feedback_overlap: float = Field(0.1, ge=0, le=1)
    """Share of the answers that two people annotate, which measures their agreement."""
    feedback_queue: int = Field(1000, ge=1)
    """Answers and scores that may wait for the store; beyond that, the newest are lost and counted."""
    feedback_keep_days: int | None = Field(None, ge=1)
    """Days after which answers without feedback are deleted; None keeps them."""
    webhook_url: HttpUrl | None = None
    """Where every scored answer is sent as a signed request; None for nowhere."""
    webhook_secret: SecretStr | None = None
    """Signs those requests: `whsec_` and the base64 of at least 24 random bytes, known to the receiver."""
    webhook_content: bool = False
    """Whether they hold the question, the passages and the answer. These may contain private data."""
    langfuse_url: HttpUrl | None = None
    """The Langfuse server that gets the scores of every answer; None for none."""
    langfuse_public_key: str | None = Field(None, validation_alias=_either("LANGFUSE_PUBLIC_KEY"))
    """Public key of its project; also LANGFUSE_PUBLIC_KEY."""
    langfuse_secret_key: SecretStr | None = Field(None, validation_alias=_either("LANGFUSE_SECRET_KEY"))
    """Secret key of its project; also LANGFUSE_SECRET_KEY."""
    sink_queue: int = Field(10_000, ge=1)
    """Scored answers that may wait for each sink; beyond that, the newest are lost and counted."""
    drain_seconds: float = Field(30.0, ge=0)
    """Seconds that requests may go on after the service is told to stop; then they end with an error."""
    kv_cache_gib: int = Field(2, ge=1)
    """Memory of each rank's key-value cache on a CPU, in GiB."""
    compile: bool = False
    """Compile the model at every start: answers are faster, the start takes minutes longer. Needs a C++ compiler."""

    @property
    def divided_freely(self) -> int:
        """Tokens of prompt and response together that are accepted however they are divided."""
        return min(self.max_prompt_tokens, self.max_tokens)

    @field_validator("cors_origins", "hosts", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("engine_args", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @field_validator("scoring_shares", mode="before")
    @classmethod
    def _split_shares(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        shares: dict[str, str] = {}
        for item in filter(None, map(str.strip, value.split(","))):
            profile, equals, share = (part.strip() for part in item.partition("="))
            if not profile or not equals:
                raise ValueError(f"{item!r} is not a profile and its share; write for example medium=0.1,long=0.5")
            if profile in shares:
                raise ValueError(f"the profile {profile} has two shares; give it one")
            shares[profile] = share
        return shares

    @field_validator("scoring_shares")
    @classmethod
    def _check_shares(cls, shares: dict[str, float]) -> dict[str, float]:
        for profile, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"the share of {profile} is {share}; give a number from 0 to 1")
        return shares
