"""Snippets: redacted excerpts of the worst flagged calls, for the evidence pages; kept beside the chain, for hours."""
