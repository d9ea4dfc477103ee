"""Drift: whether today's calls are still like the baseline's, since when, and which topics make the difference."""
