"""Quality signals of LLM calls; imports nothing of the collector, usable offline."""
