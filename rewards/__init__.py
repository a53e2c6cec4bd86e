"""Span feedback, segmentation and the per-category reward models."""
