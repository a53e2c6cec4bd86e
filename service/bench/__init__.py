"""Benchmarks of the service and its engine, each beside named alternatives.

serve.py               the service beside vLLM's own server, and what it adds to its engine
servers.py             start the servers that are compared
added_latency.py       latency that the service adds to an engine of fixed speed
scoring.py             scoring under more load than it can handle
lora.py                what adapters cost on a CPU, by the packed kernels and by vLLM's own
feedback_store/        the feedback store when it is empty and when it is large
faults.py              kills, hangs and other faults while clients keep asking
leftovers.py           what is left of a service that is ended
fault_clients.py       those clients, and what became of their requests
load.py                the client: requests in closed and open loops, and their times
fixed_speed_engine.py  a service whose engine writes at a fixed speed
engine_process.py      a vLLM engine that answers batches from its standard input
paused_programs.py     programs that take turns: all but one are stopped
"""
