"""How long a reader waits for an evidence page; run it as ``python -m bench.pages``."""
