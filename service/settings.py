"""Settings of the service: environment variables with the prefix FGCTL_, checked before anything loads."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """How one service process runs. `FGCTL_MAX_BODY_BYTES=65536` sets `max_body_bytes`, and so on."""

    model_config = SettingsConfigDict(
        env_prefix="FGCTL_", env_ignore_empty=True, frozen=True, use_attribute_docstrings=True
    )

    base: str | None = None
    """Base model: None for the embedded default, else a Hugging Face directory or name."""
    policies: Path | None = None
    """Root of the policy store; None for the repository's own."""
    rewards: Path | None = None
    """Fitted reward models; None for the repository's own."""
    categories: Path | None = None
    """File of categories beyond the built-in ones; None for no more."""
    max_prompt_tokens: int = Field(1024, ge=64)
    """Prompt budget: passages are cut to it, questions never."""
    max_tokens: int = Field(1024, ge=1)
    """The most tokens a request may ask for; with the prompt budget it makes the engine's context."""
    max_best_of: int = Field(16, ge=1)
    """The most completions of one prompt that are sampled, to return them all (`n`) or the best (`best_of`)."""
    best_of_timeout: float = Field(30.0, gt=0)
    """Seconds that choosing the best of several may wait for their scores; then the first one is the answer."""
    max_prompts: int = Field(64, ge=1)
    """The most prompts in one request of /v1/completions."""
    max_num_seqs: int = Field(32, ge=1)
    """Sequences the engine decodes at once; further requests wait."""
    max_body_bytes: int = Field(1 << 20, ge=1024)
    """Larger request bodies are answered by 413."""
    max_head_bytes: int = Field(32_768, ge=1024)
    """Longer URLs and headers, in all, are answered by 431."""
    receive_timeout: float = Field(30.0, gt=0)
    """Seconds in which a request's headers, and then its body, must arrive."""
    waiting_requests: int = Field(512, ge=0)
    """Requests that may wait for the engine; more are answered by 503."""
    waiting_tokens: int = Field(1 << 20, ge=0)
    """Tokens that waiting requests may hold in all: their prompts and what they may write; more are answered by 503."""
    queue_timeout: float = Field(60.0, gt=0)
    """Seconds that a request may wait for the engine before it is answered by 503."""
    request_timeout: float = Field(300.0, gt=0)
    """Seconds that a request may take in all; then its generation is aborted and it is answered by 503."""
    caller_concurrency: int | None = Field(None, ge=1)
    """Requests that one caller may have waiting or running; None for no limit. A key's own limits come first."""
    caller_requests_per_minute: int | None = Field(None, ge=1)
    """Requests that one caller may send a minute; None for no limit."""
    caller_tokens_per_minute: int | None = Field(None, ge=1)
    """Tokens that one caller may have read and written a minute; None for no limit."""
    keys: Path | None = None
    """File of API keys, written by `fgctl keys`. None: no key is asked for, and only this machine is listened to."""
    open: bool = False
    """Listen to other machines without keys."""
    metrics_open: bool = True
    """GET /metrics needs no key; else one with the scope `metrics`."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose web pages may call the service, with commas between; none unless set."""
    log_format: Literal["json", "text"] | None = None
    """How log lines look; None is text on a terminal, JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged; `debug` also shows probes and scrapes."""
    log_prompts: bool = False
    """Write prompts into the log. They may hold what nobody else should read."""
    traces: bool | None = None
    """Send OpenTelemetry traces; None does where OTEL_EXPORTER_OTLP_ENDPOINT is set."""
    scoring_share: float = Field(1.0, ge=0, le=1)
    """Share of the responses that are scored, drawn by their ids; the others are counted as dropped."""
    scoring_shares: Annotated[dict[str, float], NoDecode] = Field({})
    """Shares of some profiles, where they differ: `medium=0.1,long=0.5`."""
    scoring_processes: int = Field(1, ge=1)
    """Processes that score, each on one thread of low priority."""
    scoring_queue: int = Field(256, ge=1)
    """Responses that may wait to be scored; of more, an even share of every profile's is dropped and counted."""
    scoring_batch: int = Field(8, ge=1)
    """Responses scored in one call."""
    scoring_timeout: float = Field(120.0, gt=0)
    """Seconds a scoring call may take before its worker is replaced and the call's responses are dropped."""
    recent_responses: int = Field(10_000, ge=1)
    """Responses kept in memory for GET /responses/{id}; the oldest go first."""
    weights_grid: int = Field(20, ge=1, le=1000)
    """Steps from weight 0 to 1: weights that no policy was trained for move to the nearest, so that they are few."""
    resident_adapters: int = Field(8, ge=1)
    """Mixtures and versions beyond the current ones that the engine holds at once."""
    mixtures: Path | None = None
    """Where mixtures are kept; None for the user's cache."""
    stored_mixtures: int = Field(200, ge=1)
    """Mixtures kept there; the least recently used go first."""
    watch_policies: bool = True
    """Whether a promotion is picked up as it happens; POST /admin/reload does so in any case."""
    feedback_store: str | None = None
    """Where answers, scores and feedback are kept: `sqlite:///PATH` or `postgresql://…`; None keeps nothing."""
    feedback_overlap: float = Field(0.1, ge=0, le=1)
    """Share of the answers that two people annotate, so that their agreement is known."""
    feedback_queue: int = Field(1000, ge=1)
    """Answers and scores that may wait for the store; of more, the newest are lost and counted."""
    feedback_keep_days: int | None = Field(None, ge=1)
    """Days after which answers that nobody has judged are deleted; None keeps them."""
    drain_seconds: float = Field(30.0, ge=0)
    """How long requests may go on after the service was told to stop; then they end with an error that says so."""
    kv_cache_gib: int = Field(2, ge=1)
    """Memory of the key-value cache on a CPU, in GiB."""
    compile: bool = False
    """Compile the model at every start: minutes more on a few cores, and faster answers. It takes a C++ compiler."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return tuple(filter(None, map(str.strip, given.split(",")))) if isinstance(given, str) else given

    @field_validator("scoring_shares", mode="before")
    @classmethod
    def _by_profile(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        shares: dict[str, str] = {}
        for one in filter(None, map(str.strip, given.split(","))):
            name, equals, share = (part.strip() for part in one.partition("="))
            if not name or not equals or name in shares:
                raise ValueError(f"{one!r} is no share of a profile, or its second; write medium=0.1,long=0.5")
            shares[name] = share
        return shares

    @field_validator("scoring_shares")
    @classmethod
    def _between_zero_and_one(cls, given: dict[str, float]) -> dict[str, float]:
        for name, share in given.items():
            if not 0 <= share <= 1:
                raise ValueError(f"the share of {name} is {share}; give one from 0 to 1")
        return given
