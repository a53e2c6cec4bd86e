"""The service's metrics, for Prometheus. Labels are bounded: never a prompt, a user or arbitrary weights.

    metrics.py     all metrics of one service, on a registry of its own
    traffic.py     requests: outcomes, latency, tokens, waiting and refused requests, weights
    quality.py     scored answers: errors, rewards, length, inputs
    baselines.py   what each version's offline evaluation found
    canaries.py    a canary and its incumbent, for the sequential test
    scoring.py     scoring itself: load, loss, lag, the reward models' known errors
    versions.py    the versions that are served and where they come from, the engine, and the build
    engine.py      the engine's load, by the names that routers read
    feedback.py    the feedback store
    error_rates.py the error rates that people see, estimated from labels and scores
    agreement.py   how well annotators agree with each other, and the reward models with them
    buckets.py     the buckets of the histograms
    policies.py    listens to the policies that become available, and to roster changes

To add a metric, declare it in one of these files and count it where the event happens. Its help text says what it
counts, beginning with the unit, and what to do when it moves: `make monitoring` puts it into docs/metrics.md.
"""
