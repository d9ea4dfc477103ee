"""Dashboards as Python over the catalogue, written as JSON for Grafana; imports nothing that runs."""
