"""Tests over one engine in this process. A package, so that its fixtures of that scope end with its last test."""
