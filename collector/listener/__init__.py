"""Every TCP port that the daemon opens: TLS, who may come in, how often and for how long. Knows no page."""
