"""LiteLLM: completions, a stream, and responses of an OpenAI-compatible endpoint."""

import json
import os

from litellm import completion, responses

where = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
messages = [{"role": "user", "content": "Hello, how are you?"}]
whole = completion(model="openai/medium", messages=messages, max_tokens=24, **where)
stream = completion(model="openai/medium", messages=messages, max_tokens=24, stream=True, **where)
streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
response = responses(model="openai/medium", input="Tell me a story.", max_output_tokens=24, **where)
print(json.dumps([whole.choices[0].message.content, streamed, response.output[0].content[0].text]))
