"""OpenAI's interface: /v1/models, /v1/completions and /v1/chat/completions, with policies as models."""
