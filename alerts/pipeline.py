"""Rules about Assay itself: that it runs, keeps up, loses nothing and says so when it cannot."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity
from collector.catalog import Board

_RESTART_SECONDS = 180
"""A pod that is replaced drains for up to a minute, is scheduled and loads its models: a release wakes nobody."""

_PROCESS = "instance, pod"  # a pod only where Prometheus knows of pods
_WHICH = "{{ $labels.instance }}"


def groups() -> tuple[Group, ...]:
    """The dead man's switch last."""
    return (
        Group(name="assay-alive", rules=(*_alive(), _watchdog())),
        Group(name="assay-exactness", rules=tuple(_exactness())),
        Group(name="assay-progress", rules=tuple(_progress())),
        Group(name="assay-scoring", rules=tuple(_scoring())),
        Group(name="assay-bounds", rules=tuple(_bounds())),
    )


def _alive() -> tuple[Alert, ...]:
    return (
        Alert(
            name="AssayDown",
            expr="absent(assay_build_info)",
            severity=Severity.CRITICAL,
            for_seconds=_RESTART_SECONDS,
            summary="Assay is down: no process of it is scraped",
            impact=(
                "No call is judged and no quality alert can fire. Drift and quality alerts that resolve now resolve "
                "because nobody looks, not because it is better. Calls wait in Kafka and will be counted."
            ),
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayNobodyScores",
            expr='absent(assay_build_info{role=~"all|score"}) and on () (count(assay_build_info) > 0)',
            severity=Severity.CRITICAL,
            for_seconds=_RESTART_SECONDS,
            summary="No scoring worker of Assay runs",
            impact="The pages are up and show the past: new calls wait in Kafka and none is judged.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayRulesMissing",
            expr="absent(assay:quality:budget) and on () (count(assay_build_info) > 0)",
            severity=Severity.CRITICAL,
            for_seconds=300,
            summary="The series that Assay's rules record are missing",
            impact="Quality alerts read nothing else: until they are back none can fire, whatever users are answered.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayNotReady",
            expr=f"max by ({_PROCESS}, condition) (1 - assay_ready) > 0",
            severity=Severity.WARNING,
            for_seconds=300,
            summary=f"{_WHICH} is not ready: {{{{ $labels.condition }}}}",
            impact="A process has started and does not do its work; /readyz says what it waits for.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssaySourceUnreachable",
            expr=f"min by ({_PROCESS}) (assay_source_healthy) == 0",
            severity=Severity.CRITICAL,
            for_seconds=120,
            summary=f"Kafka does not answer the scoring worker {_WHICH}",
            impact="New calls are not read. They are lost only if the topic's retention is shorter than the outage.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayChainUnreachable",
            expr=f"min by ({_PROCESS}) (assay_chain_healthy) == 0",
            severity=Severity.CRITICAL,
            for_seconds=120,
            summary=f"The chain's store does not take what {_WHICH} scores",
            impact="Calls are scored and wait; none is counted, boards stand still. Nothing is lost.",
            board=Board.PIPELINE,
        ),
    )


def _watchdog() -> Alert:
    return Alert(
        name="AssayWatchdog",
        expr="vector(1)",
        severity=Severity.NONE,
        summary="Alerting works",
        impact="It always fires. Whoever receives it should tell a person when it stops.",
        board=Board.PIPELINE,
    )


def _exactness() -> tuple[Alert, ...]:
    return (
        Alert(
            name="AssayConservationBroken",
            expr="max by (topic) (max_over_time(abs(assay_conservation_imbalance)[10m:])) > 0",
            severity=Severity.CRITICAL,
            keep_firing_seconds=3_600,
            summary="{{ $labels.topic }}: {{ $value }} calls are unaccounted for",
            impact="consumed is not scored + unscored + rejected + lost: the numbers of this topic cannot be trusted.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayRecordsLost",
            expr="sum by (topic) (increase(assay_records_lost_total[15m])) > 0",
            severity=Severity.CRITICAL,
            keep_firing_seconds=900,
            summary="{{ $labels.topic }}: {{ $value | humanize }} records were gone before they were read",
            impact="Kafka's retention was faster than Assay. Its calls are never judged; they are counted as lost.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayRecordsRejected",
            expr=(
                "(sum(increase(assay_records_rejected_total[15m])) "
                "/ (sum(increase(assay_records_total[15m])) > 0) > 0.01) "
                "and (sum(increase(assay_records_rejected_total[15m])) >= 10)"
            ),
            severity=Severity.WARNING,
            for_seconds=300,
            keep_firing_seconds=600,
            summary="{{ $value | humanizePercentage }} of the records cannot be decoded",
            impact="Their calls are not judged. Each is in the dead letters with its reason.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayClockSkew",
            expr=(
                '(sum by (topic) (increase(assay_calls_off_clock_total{direction="ahead"}[30m])) '
                "/ on () group_left () (sum(increase(assay_calls_total[30m])) > 0) > 0.01) "
                'and (sum by (topic) (increase(assay_calls_off_clock_total{direction="ahead"}[30m])) >= 10)'
            ),
            severity=Severity.WARNING,
            for_seconds=600,
            keep_firing_seconds=600,
            summary="{{ $labels.topic }}: calls are stamped more than 10 minutes in the future",
            impact="A host's clock is wrong: its calls are counted in windows that nobody looks at yet.",
            board=Board.PIPELINE,
        ),
    )


def _progress() -> tuple[Alert, ...]:
    lag = "sum by (topic) (assay_lag_records)"
    rate = "sum by (topic) (rate(assay_records_polled_total[5m]))"
    return (
        Alert(
            name="AssayLagGrows",
            expr=f"({lag} > 500) and (deriv({lag}[10m:1m]) > 0.05 * ({rate} or {lag} * 0))",
            severity=Severity.WARNING,
            for_seconds=600,
            keep_firing_seconds=300,
            summary="{{ $labels.topic }}: {{ $value | humanize }} records behind, and growing",
            impact="Boards and alerts speak of the past, more so every minute: add workers, or see what is slow.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayFarBehind",
            expr=f"({lag} / (({rate} > 0) or ({lag} * 0 + 1)) > 1800) and ({lag} > 500)",
            severity=Severity.CRITICAL,
            for_seconds=300,
            keep_firing_seconds=300,
            summary="{{ $labels.topic }}: over half an hour of records waits",
            impact=(
                "At the present pace it takes {{ $value | humanizeDuration }} to catch up. Quality incidents are seen "
                "that much too late, and retention may win the race."
            ),
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayAppendsStalled",
            expr=(
                "(time() - max by (topic, partition) (assay_last_append_timestamp_seconds) > 600) "
                "and on (topic, partition) (max by (topic, partition) (assay_lag_records) > 0)"
            ),
            severity=Severity.CRITICAL,
            for_seconds=120,
            summary="{{ $labels.topic }}/{{ $labels.partition }}: nothing was counted for ten minutes",
            impact="Records wait and none becomes a number: a call that never ends, a stuck store, or a defect.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayRollupsStale",
            expr="time() - max(assay_last_materialised_timestamp_seconds) > 300",
            severity=Severity.CRITICAL,
            for_seconds=120,
            summary="DuckDB has not followed the chain for {{ $value | humanizeDuration }}",
            impact="SQL, evidence and drift show the past. What is scored is safe in the chain.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayNobodyServes",
            expr="absent(assay_last_materialised_timestamp_seconds) and on () (count(assay_build_info) > 0)",
            severity=Severity.CRITICAL,
            for_seconds=600,
            summary="No process of Assay materialises the chain",
            impact="SQL, evidence and drift are missing altogether: a fleet needs one process of role serve or all.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssaySnapshotStale",
            expr="time() - max(assay_last_snapshot_timestamp_seconds) > 900",
            severity=Severity.WARNING,
            for_seconds=300,
            summary="The newest snapshot is {{ $value | humanizeDuration }} old",
            impact="Analysts and the SQL endpoint read old numbers; live metrics are not affected.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayTaskFails",
            expr='sum by (task) (increase(assay_tasks_total{outcome="failed"}[30m])) > 2',
            severity=Severity.WARNING,
            keep_firing_seconds=600,
            summary="The background task {{ $labels.task }} fails again and again",
            impact=(
                "It is tried again, and until it succeeds its work is not done: without compaction, retention and "
                "expiry disks fill, without snapshots SQL is old, without alertmanager the overview is."
            ),
            board=Board.PIPELINE,
        ),
    )


def _scoring() -> tuple[Alert, ...]:
    return (
        Alert(
            name="AssaySignalFails",
            expr=(
                "sum by (signal) (increase(assay_signal_failures_total[10m])) "
                "/ on () group_left () (sum(increase(assay_batch_calls_count[10m])) > 0) > 0.01"
            ),
            severity=Severity.WARNING,
            for_seconds=300,
            keep_firing_seconds=600,
            by=("signal",),
            summary="The signal {{ $labels.signal }} raises in {{ $value | humanizePercentage }} of the batches",
            impact="These calls have no score of it (reason failed); the other signals go on.",
            board=Board.SIGNALS,
            evidence="",
        ),
        Alert(
            name="AssaySheds",
            expr='sum by (signal) (rate(assay_signal_unscored_total{reason="shed"}[5m])) > 0',
            severity=Severity.WARNING,
            for_seconds=300,
            keep_firing_seconds=600,
            by=("signal",),
            summary="Overload: {{ $labels.signal }} leaves out {{ $value | humanize }} texts a second",
            impact="Not every call is judged: those left out are counted as shed, by a hash of their trace.",
            board=Board.SIGNALS,
            evidence="",
        ),
        Alert(
            name="AssayOverloadLasts",
            expr="max(assay_shed_level) > 0",
            severity=Severity.WARNING,
            for_seconds=1_800,
            keep_firing_seconds=600,
            summary="Overload has lasted for half an hour: a worker sheds at level {{ $value }}",
            impact="A peak would be over by now: there are too few workers, and part of the traffic is not judged.",
            board=Board.SIGNALS,
        ),
        Alert(
            name="AssayShedsEverything",
            expr="max(min by (instance) (assay_shed_ratio)) > 0",
            severity=Severity.CRITICAL,
            for_seconds=300,
            keep_firing_seconds=600,
            summary="Overload: a worker has reached the last signal that it can leave out",
            impact=(
                "Every signal with a model leaves at least {{ $value | humanizePercentage }} of the traces out. If the "
                "lag still grows there is nothing more to shed: quality incidents are seen too late."
            ),
            board=Board.SIGNALS,
        ),
        Alert(
            name="AssayCascadeFell",
            expr="max(assay_cascade_fallen) > 0",
            severity=Severity.WARNING,
            for_seconds=300,
            keep_firing_seconds=600,
            summary="The toxicity cascade misses too much: the full model reads everything",
            impact="Scores are right again, at the full price. The light head does not know this traffic.",
            board=Board.SIGNALS,
        ),
        Alert(
            name="AssayDeviceLost",
            expr=f"sum by ({_PROCESS}) (increase(assay_encoder_device_losses_total[1h])) > 0",
            severity=Severity.WARNING,
            keep_firing_seconds=3_600,
            summary=f"{_WHICH} has lost its GPU and scores on the CPU",
            impact="It goes on, many times slower; lag will grow. Restart it on a healthy node.",
            board=Board.SIGNALS,
        ),
    )


def _bounds() -> tuple[Alert, ...]:
    free = f"min by ({_PROCESS}) (assay_data_free_bytes / assay_data_size_bytes)"
    tomorrow = f"min by ({_PROCESS}) (predict_linear(assay_data_free_bytes[6h], 86400))"
    return (
        Alert(
            name="AssayDiskFills",
            expr=f"({free} < 0.2) and ({tomorrow} < 0)",
            severity=Severity.WARNING,
            for_seconds=1_800,
            keep_firing_seconds=600,
            summary=f"{_WHICH}: {{{{ $value | humanizePercentage }}}} of the disk is left, enough for less than a day",
            impact="A full disk stops DuckDB, snapshots and, with a chain in a directory, the counting.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayDiskFull",
            expr=f"{free} < 0.05",
            severity=Severity.CRITICAL,
            for_seconds=60,
            summary=f"{_WHICH}: only {{{{ $value | humanizePercentage }}}} of the disk is left",
            impact="DuckDB, snapshots and, with a chain in a directory, the counting are about to stop.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayWebConfigStale",
            expr=f"max by ({_PROCESS}, listener) (assay_web_config_stale) > 0",
            severity=Severity.WARNING,
            for_seconds=300,
            summary=f"{_WHICH}: the web-config file of the {{{{ $labels.listener }}}} listener cannot be used",
            impact="An older one is in force: a renewed certificate or a removed user is not.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayEvaluationsRefused",
            expr='sum(increase(assay_evaluations_total{outcome="refused"}[15m])) > 0',
            severity=Severity.WARNING,
            keep_firing_seconds=900,
            summary="{{ $value | humanize }} evaluation events were refused for good",
            impact="Whoever reads gen_ai.evaluation.result events has gaps; rollups and SQL do not.",
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayEvaluationsWait",
            expr=(
                f"(sum by ({_PROCESS}) (increase(assay_evaluation_retries_total[15m])) > 10) "
                f'and (sum by ({_PROCESS}) (increase(assay_evaluations_total{{outcome="sent"}}[15m])) == 0)'
            ),
            severity=Severity.WARNING,
            for_seconds=900,
            summary=f"{_WHICH}: the receiver of evaluation events takes none",
            impact=(
                "gen_ai.evaluation.result events wait in the chain and are sent when it is back. Scores, rollups and "
                "alerts are not affected; what the chain's retention deletes first is never sent."
            ),
            board=Board.PIPELINE,
        ),
        Alert(
            name="AssayLabelsOverflow",
            expr=(
                "(sum(increase(assay_labels_overflowed_total[1h])) or vector(0)) "
                "+ (sum(increase(assay_series_overflowed_total[1h])) or vector(0)) > 0"
            ),
            severity=Severity.INFO,
            for_seconds=900,
            summary="More names than Assay keeps apart: {{ $value | humanize }} were counted as __other__ in an hour",
            impact="Services, models or tenants beyond the bound cannot be told apart. Something puts ids into names.",
            board=Board.SIGNALS,
        ),
    )
