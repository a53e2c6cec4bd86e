"""The most that the lists, texts and objects of a request for an answer may hold: one table for all endpoints.

A body is bounded in bytes (FGCTL_MAX_BODY_BYTES), but a megabyte can hold half a million wrong values, each of which
would be described. So a list is counted before its values are looked at, and nothing is looked at after the first
wrong value. Texts are bounded by the tokens of a prompt (FGCTL_MAX_PROMPT_TOKENS, policies/prompt.py).
"""

from typing import Any

from pydantic import BeforeValidator

PASSAGES = 1000
SENTENCES = 10_000
"""Titles and sentences of the passages of a response to be scored, where each sentence is a value of its own."""
MESSAGES = 1000
PARTS = 1000
"""Parts of a message."""
PROMPTS = 1000
"""Prompts in one request; FGCTL_MAX_PROMPTS allows fewer."""
TOKEN_IDS = 1 << 17
STOPS = 4
FIELDS = 64
"""Fields of an object whose unknown fields are refused."""
WEIGHTS = 100
NAME = 1000
"""Characters of a model's or a profile's name, and of weights written as a text."""
KEPT_MESSAGES = 200
"""Messages of a conversation that are kept with a response, the latest ones."""
STRUCTURE = 1 << 16
"""Characters of a schema, a grammar or a regular expression that an answer must follow."""
CHOICES = 1000
"""Texts of which an answer must be one."""
LOGPROBS = 1 << 16
"""Log-probabilities in one response: prompts times completions times tokens times the likely tokens at each."""


def at_most(limit: int, values: str) -> BeforeValidator:
    """Refuse a list or an object of more than `limit` values, such as `passages`, before any of them is looked at."""

    return BeforeValidator(lambda value: check_count(value, limit, values))


def check_count(value: Any, limit: int, values: str) -> Any:
    """The value. Raises ValueError for a list or an object of more than `limit` values."""
    if isinstance(value, list | dict) and len(value) > limit:
        raise ValueError(f"There are {len(value)} {values}; send at most {limit}.")
    return value
