"""Telemetry to calls: bytes are decoded, spans and events of a trace are joined, and each request is told once."""
