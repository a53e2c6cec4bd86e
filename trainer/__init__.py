"""Supervised fine-tuning and fine-grained PPO of LoRA policy adapters."""
