"""Training scripts of the heads in signals/heads."""
