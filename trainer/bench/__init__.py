"""Benchmarks: each measures something beside a named alternative in the same run, and reports the ratio."""
