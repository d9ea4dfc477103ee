"""Drift inside the collector: what each window of calls says to the detectors, decided once and kept in the chain."""
