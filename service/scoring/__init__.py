"""Online scoring: every finished response is judged by the reward models, in their own process, and counted."""
