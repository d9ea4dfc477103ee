"""The daemon: Kafka records in; deltas, rows and metrics out."""
