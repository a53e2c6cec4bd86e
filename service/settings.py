"""Settings of the service: environment variables with the prefix FGCTL_, checked before anything loads."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    max_num_seqs: int = Field(32, ge=1)
    """Sequences the engine decodes at once; further requests wait."""
    max_body_bytes: int = Field(1 << 20, ge=1024)
    """Larger request bodies are answered by 413."""
    scoring_share: float = Field(1.0, ge=0, le=1)
    """Share of the responses that are scored, drawn by their ids; the others are counted as dropped."""
    scoring_queue: int = Field(256, ge=1)
    """Responses that may wait to be scored; more are dropped and counted."""
    scoring_batch: int = Field(8, ge=1)
    """Responses scored in one call."""
    scoring_timeout: float = Field(120.0, gt=0)
    """Seconds a scoring call may take before its worker is replaced and the call's responses are dropped."""
    recent_responses: int = Field(10_000, ge=1)
    """Responses kept for GET /responses/{id}; the oldest go first."""
    kv_cache_gib: int = Field(2, ge=1)
    """Memory of the key-value cache on a CPU, in GiB."""
    compile: bool = False
    """Compile the model at every start: minutes more on a few cores, and faster answers. It takes a C++ compiler."""
