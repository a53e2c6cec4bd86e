"""The HTTP service: policies on one vLLM engine, and online scoring. From the ground floor up:

domain/       the words: request, answer, policy, roster, selection, caller, scores
settings.py   every setting
errors.py     errors with their HTTP status
telemetry/    OpenTelemetry: traces, metrics, events
edge/         middleware, authentication, logs
engine/       vLLM and its supervisor
served/       the policy for a request; reload, canaries, mixtures
metrics/      every metric
admission/    who may use the engine now, who waits, who is refused
scoring/      the queue to the scoring processes
sinks/        other tools that get the scores
feedback/     the feedback store and what belongs to it
preferences/  which weights a caller wants, learned from its feedback
answering/    how a request becomes an answer
parts.py      how the parts are wired
backend.py    the service from start to stop
api/          HTTP endpoints
pages/        web pages
app.py        the FastAPI application
run.py        the server in the foreground
bench/        benchmarks
"""
