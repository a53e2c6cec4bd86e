"""LangChain's integration of OpenAI: a chain of messages, a stream, and structured output."""

import json

from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Joke(BaseModel):
    """A joke."""

    setup: bool


llm = ChatOpenAI(model="medium", max_tokens=24, max_retries=2)
messages = [
    ("system", "You are a helpful translator. Translate the user sentence to French."),
    ("human", "I love programming."),
]
whole = llm.invoke(messages).content
streamed = "".join(chunk.content for chunk in llm.stream(messages))
by_responses = ChatOpenAI(model="medium", max_tokens=24, use_responses_api=True).invoke(messages).text
joke = llm.with_structured_output(Joke, method="json_schema").invoke("Tell me a joke.")
print(json.dumps([whole, streamed, str(by_responses), str(joke.setup)]))
