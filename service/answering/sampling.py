"""A request's sampling parameters in vLLM's terms, within the service's limits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.store import Decoding
from service.answering.structure import structured_outputs
from service.domain.request import Sampling
from service.errors import InvalidRequest

if TYPE_CHECKING:
    from vllm import SamplingParams


@dataclass(frozen=True)
class SamplingLimits:
    """The most that one request may ask for."""

    max_tokens: int
    max_samples: int
    """Completions sampled of one prompt."""


def sampling_params(sampling: Sampling, defaults: Decoding, limits: SamplingLimits) -> "SamplingParams":
    """The request's parameters, the profile's defaults where it has none. Raises InvalidRequest."""
    from vllm import SamplingParams
    from vllm.exceptions import VLLMClientError
    from vllm.sampling_params import RequestOutputKind

    _check_samples(sampling, defaults, limits)
    if sampling.max_tokens is not None and sampling.max_tokens > limits.max_tokens:
        raise InvalidRequest(f"max_tokens is {sampling.max_tokens}; ask for at most {limits.max_tokens}.", "max_tokens")
    own = {name: getattr(sampling, name) for name in ("temperature", "top_p", "max_tokens")}
    values = defaults.model_dump() | {name: value for name, value in own.items() if value is not None}
    try:
        return SamplingParams(
            **(values | dict(sampling.extra)),
            seed=sampling.seed,
            stop=list(sampling.stop),
            n=sampling.best_of or sampling.n,
            logprobs=sampling.logprobs,
            structured_outputs=structured_outputs(sampling.structure),
            output_kind=RequestOutputKind.DELTA,
        )
    except VLLMClientError as error:  # the wire types bound each parameter by itself, not two together
        raise InvalidRequest(f"The sampling parameters do not fit together: {error}", "max_tokens") from None


def _check_samples(sampling: Sampling, defaults: Decoding, limits: SamplingLimits) -> None:
    """Raises InvalidRequest for more samples than are allowed, and for several that would all be alike."""
    param, samples = ("n", sampling.n) if sampling.best_of is None else ("best_of", sampling.best_of)
    if samples > limits.max_samples:
        raise InvalidRequest(f"{param} is {samples}; ask for at most {limits.max_samples}.", param)
    temperature = defaults.temperature if sampling.temperature is None else sampling.temperature
    if samples > 1 and temperature == 0:
        message = f"At temperature 0 all answers are the same; set a temperature, or leave out {param}."
        raise InvalidRequest(message, param)
