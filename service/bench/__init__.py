"""Benchmarks of the service and its engine, each beside named alternatives."""
