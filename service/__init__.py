"""The HTTP service: generation with the policy adapters and online scoring."""
