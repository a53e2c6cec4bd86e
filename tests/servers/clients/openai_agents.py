"""OpenAI's Agents SDK: the example of its documentation, further turns in both ways, and a stream."""

import asyncio
import json

from agents import Agent, ModelSettings, Runner, set_tracing_disabled

set_tracing_disabled(True)  # traces go to OpenAI
agent = Agent(
    name="Assistant",
    instructions="You are a helpful assistant",
    model="medium",
    model_settings=ModelSettings(max_tokens=24),
)


async def main():
    first = await Runner.run(agent, "Write a haiku about recursion in programming.")
    turns = [*first.to_input_list(), {"role": "user", "content": "And one about the sea."}]
    second = await Runner.run(agent, turns)
    third = await Runner.run(agent, "And about hills.", previous_response_id=first.last_response_id)
    streamed = Runner.run_streamed(agent, "Tell me a joke.")
    async for _ in streamed.stream_events():
        pass
    return [result.final_output for result in (first, second, third, streamed)]


print(json.dumps(asyncio.run(main())))
