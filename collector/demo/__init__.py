"""The demo: made-up services that send real OpenTelemetry, and a terminal that shows what Assay sees of them."""
