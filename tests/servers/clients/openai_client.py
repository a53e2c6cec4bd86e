"""OpenAI's own client: the examples of its README. OPENAI_BASE_URL and OPENAI_API_KEY name the service."""

import json

from openai import OpenAI

client = OpenAI()
response = client.responses.create(
    model="medium",
    instructions="You are a coding assistant that talks like a pirate.",
    input="How do I check if a Python object is an instance of a class?",
    max_output_tokens=24,
)
completion = client.chat.completions.create(
    model="medium",
    messages=[
        {"role": "developer", "content": "Talk like a pirate."},
        {"role": "user", "content": "How do I check if a Python object is an instance of a class?"},
    ],
    max_tokens=24,
)
stream = client.responses.create(
    model="medium", input="Write a one-sentence bedtime story about a unicorn.", stream=True, max_output_tokens=24
)
streamed = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
print(json.dumps([response.output_text, completion.choices[0].message.content, streamed]))
