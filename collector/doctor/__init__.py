"""``assay doctor``: from a sample of telemetry to what each service captures, what it does not, and the setting for it.

``sample`` reads files or the last records of a source, ``facts`` counts what they hold, ``findings`` is the table of
what can be wrong, ``show`` prints. Text of the payload is never part of a report.
"""
