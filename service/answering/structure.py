"""The form that an answer must have: vLLM's structured outputs, checked before the engine sees them.

The engine would report a form that it cannot enforce in the middle of a stream.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from service.errors import InvalidRequest

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

PARAM = "structured_outputs"
_thread = ThreadPoolExecutor(1, "structure")
"""One form is checked at a time, so that many large ones do not take the threads that other work needs."""


def structured_outputs(structure: Mapping[str, Any] | None) -> "StructuredOutputsParams | None":
    """A form in vLLM's terms. Raises InvalidRequest for none or several at once."""
    if structure is None:
        return None
    from vllm.exceptions import VLLMClientError
    from vllm.sampling_params import StructuredOutputsParams

    try:
        return StructuredOutputsParams(**structure)
    except VLLMClientError:
        kinds = ", ".join(sorted(structure)) or "none"
        raise InvalidRequest(
            f"The form of an answer is given by {kinds}; give exactly one of json, json_object, regex, choice and "
            "grammar.",
            PARAM,
        ) from None


async def check_structure(params: "SamplingParams") -> None:
    """Whether a grammar can be made of the form, by xgrammar or else by guidance, which vLLM uses in this order.

    It may take a second, which other requests do not wait for. Raises InvalidRequest.
    """
    await asyncio.get_running_loop().run_in_executor(_thread, _check, params)


def _check(params: "SamplingParams") -> None:
    from vllm.exceptions import VLLMClientError
    from vllm.v1.structured_output.backend_guidance import validate_guidance_grammar
    from vllm.v1.structured_output.backend_xgrammar import validate_xgrammar_grammar

    try:
        validate_xgrammar_grammar(params.clone())  # which it changes
    except (VLLMClientError, ValueError):
        try:
            validate_guidance_grammar(params.clone())
        except (VLLMClientError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InvalidRequest(f"vLLM cannot enforce this form ({reason}); correct it.", PARAM) from None
