"""Pydantic AI: the example of its documentation, by chat completions and by responses, and structured output."""

import json

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel


class Origin(BaseModel):
    """Whether something is old."""

    old: bool


settings = {"max_tokens": 24}
texts = []
for model in (OpenAIChatModel("medium"), OpenAIResponsesModel("medium")):
    agent = Agent(model, instructions="Be concise, reply with one sentence.", model_settings=settings)
    texts.append(agent.run_sync('Where does "hello world" come from?').output)
agent = Agent(OpenAIChatModel("medium"), output_type=NativeOutput(Origin), model_settings=settings)
texts.append(str(agent.run_sync("Is it old?").output.old))
print(json.dumps(texts))
