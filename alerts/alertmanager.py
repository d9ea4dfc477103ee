"""An Alertmanager configuration to start from: who is told, what is said together, what silences what."""

from __future__ import annotations

from typing import Any

from alerts.model import Severity

PAGE, TICKET, WATCHDOG, NOBODY = "page", "ticket", "watchdog", "nobody"

_BEHIND = "AssayNoCalls|AssayNotReady|AssayLagGrows|AssayFarBehind|AssayAppendsStalled|AssayDriftBlind"
_STALE = "AssayRollupsStale|AssaySnapshotStale"
_FOLLOWS = {
    "AssayDown": f"AssayNobody.*|{_BEHIND}|{_STALE}",
    "AssayNobodyScores|AssaySourceUnreachable|AssayChainUnreachable": _BEHIND,
    "AssayNobodyServes|AssayRollupsStale": "AssaySnapshotStale|AssayDriftBlind",
    "AssayDiskFull": f"AssayChainUnreachable|AssayDiskFills|AssayTaskFails|{_BEHIND}|{_STALE}",
}
"""What is no news of its own: a cause, and what follows from it whatever else is well. No quality alert is among it."""


def configuration(
    page_url: str = "http://localhost:9465/page",
    ticket_url: str = "http://localhost:9465/ticket",
    watchdog_url: str = "http://localhost:9465/watchdog",
) -> dict[str, Any]:
    """Critical alerts page at once, warnings become tickets, the watchdog goes to whoever notices its absence.

    A drift or quality alert is never silenced by AssayDown: that nobody looks is said beside it, not instead of it.
    """
    return {
        "route": {
            "receiver": TICKET,
            "group_by": ["alertname", "service"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [
                {
                    "receiver": WATCHDOG,
                    "matchers": ['alertname="AssayWatchdog"'],
                    "group_wait": "0s",
                    "group_interval": "1m",
                    "repeat_interval": "5m",
                },
                {"receiver": PAGE, "matchers": [f'severity="{Severity.CRITICAL}"']},
                {"receiver": TICKET, "matchers": [f'severity="{Severity.WARNING}"'], "group_wait": "1m"},
                {"receiver": NOBODY, "matchers": [f'severity=~"{Severity.INFO}|{Severity.NONE}"']},
            ],
        },
        "inhibit_rules": [
            {  # the same trouble at two speeds: the graver one speaks
                "source_matchers": [f'severity="{Severity.CRITICAL}"'],
                "target_matchers": [f'severity="{Severity.WARNING}"'],
                "equal": ["alertname", "service", "signal", "side"],
            },
            {  # a collapse burns budgets and shifts from yesterday by its nature
                "source_matchers": ['alertname="AssayQualityCollapse"'],
                "target_matchers": ['alertname=~"AssayQualityBudgetBurn|AssayQualityShift"'],
                "equal": ["service", "signal", "side"],
            },
            {  # within the hour already: that it burns over longer windows as well is no second page
                "source_matchers": ['alertname="AssayQualityBudgetBurn"', 'window="1h"'],
                "target_matchers": ['alertname="AssayQualityBudgetBurn"', 'window!="1h"'],
                "equal": ["service", "signal", "side"],
            },
            {  # a budget that burns is a shift from yesterday
                "source_matchers": ['alertname="AssayQualityBudgetBurn"', f'severity="{Severity.CRITICAL}"'],
                "target_matchers": ['alertname="AssayQualityShift"'],
                "equal": ["service", "signal", "side"],
            },
            {  # a service without text has no coverage
                "source_matchers": ['alertname="AssayContentCaptureStopped"'],
                "target_matchers": ['alertname="AssayCoverageFell"'],
                "equal": ["service"],
            },
            {  # there is nothing left to shed: that is the news, not that something is shed, nor for how long
                "source_matchers": ['alertname="AssayShedsEverything"'],
                "target_matchers": ['alertname=~"AssaySheds|AssayOverloadLasts"'],
            },
            *(
                {"source_matchers": [f'alertname=~"{cause}"'], "target_matchers": [f'alertname=~"{follows}"']}
                for cause, follows in _FOLLOWS.items()
            ),
        ],
        "receivers": [
            {"name": PAGE, "webhook_configs": [{"url": page_url}]},
            {"name": TICKET, "webhook_configs": [{"url": ticket_url}]},
            {"name": WATCHDOG, "webhook_configs": [{"url": watchdog_url, "send_resolved": False}]},
            {"name": NOBODY},
        ],
    }
