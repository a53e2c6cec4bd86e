"""Base model, prompt, reward weights and the store of trained policy adapters."""
