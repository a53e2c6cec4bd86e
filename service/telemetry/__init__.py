"""OpenTelemetry: traces, metrics and events, named by its conventions for generative AI. Nothing is imported while off.

conventions.py   the names of OpenTelemetry's conventions for generative AI
measures.py      metrics of generations
span.py          a span as the rest of the service sees it
generations.py   what is recorded of a generation
evaluations.py   what is recorded of an answer's scores
tracing.py       the recorder of all this, and the exporters that the settings and the OTEL_… variables choose
"""
