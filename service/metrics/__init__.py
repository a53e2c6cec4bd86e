"""What the service counts, for Prometheus. Labels are bounded: never a prompt, a user or a weight."""
