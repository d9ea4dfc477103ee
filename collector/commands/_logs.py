"""What libraries may log, shared by the commands that run a daemon."""

from __future__ import annotations

import logging

QUIET = {
    "kafka": logging.CRITICAL,  # several lines a second while a broker is away; collector.source tells of it once
    "apscheduler": logging.ERROR,  # a job that still runs when it is due again is counted by collector.serve
}


def quieten() -> None:
    """Where DEBUG is not asked for."""
    for library, level in QUIET.items():
        logging.getLogger(library).setLevel(level)
