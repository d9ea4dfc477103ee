"""Alerts as data over the catalogue, rendered for Prometheus, Grafana and Alertmanager; imports nothing that runs."""
