"""The vLLM engine: started, supervised, and made fast on CPUs.

engine.py           the engine: load adapters, generate with one of them for each request
plan.py             what the engine is started with: arguments of the user, of the service, and defaults
preview.py          what would be started, whether vLLM takes it, and the memory that it needs
stats.py            what vLLM counts in each step
token_bytes.py      the bytes that a token stands for
processes.py        vLLM's processes: they end with the service, and can be killed
supervisor.py       restart the engine when its processes have died or hang
cpu_environment.py  environment variables and libraries that make vLLM fast on a CPU
cpu_lora.py         vLLM plugin that replaces the LoRA kernels on a CPU
remote/             an engine elsewhere, asked over HTTP
packed_adapters.py  the arithmetic of those kernels: packed weights, and how the rows of a step are multiplied
"""
