"""Every metric of the job, declared once. `docs/metrics.md` says what each is good for; a test compares the two.

Labels are bounded by how they are made: topics and partitions by what the job reads, steps and stages by the flow,
reasons, kinds and outcomes by contracts, manifests and policy. An id of a record, customer, order or case is never a
label. What an operator of Prometheus derives (rates, shares, quantiles) is left to Prometheus.
"""

from __future__ import annotations

from config.instruments import Computed, Counter, Gauge, Histogram

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds of work."""
WAIT = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds between a record and what came of it; finest around epochs of a second."""
LONG = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
"""Seconds of event time."""

# -- what comes in ---------------------------------------------------------------------------------------------------

RECORDS = Counter(
    "forestall_records_total",
    "Records read and judged; those read again after a restart count again.",
    ("topic",),
)
JUDGED = Counter(
    "forestall_records_judged_total",
    "What became of the records read: accepted, late, duplicate, rejected, or shed under overload.",
    ("topic", "verdict"),
)
HELD = Gauge(
    "forestall_records_held",
    "Records that wait until their clock is believed.",
    ("topic", "partition"),
)
SAMPLED = Gauge(
    "forestall_sampled_ratio",
    "Share of the records that may be sampled which is looked into: 1 but under overload.",
    ("topic", "partition"),
)
DEAD_LETTERS = Counter(
    "forestall_dead_letters_total",
    "Records that cannot be processed, by reason.",
    ("topic", "reason"),
)
DECODE_FAILURES = Counter(
    "forestall_decode_failures_total",
    "Records that could not be decoded: all dead letters but those with a wild clock.",
    ("topic",),
)
OFFSET = Gauge(
    "forestall_partition_offset",
    "The offset that is read next.",
    ("topic", "partition"),
)
LAG = Gauge(
    "forestall_consumer_lag_records",
    "Records of the partition that were not read yet, as far as is known.",
    ("topic", "partition"),
)
IDLE = Gauge(
    "forestall_partition_idle",
    "1 where a partition has been silent for so long that it holds nobody up.",
    ("topic", "partition"),
)
ENDED = Gauge(
    "forestall_partition_ended",
    "1 where a partition is at the end of its recording.",
    ("topic", "partition"),
)
PROGRESS = Gauge(
    "forestall_partition_progress_timestamp_seconds",
    "When its offset or watermark last rose, or it rightly waited, in seconds since the epoch.",
    ("topic", "partition"),
)
WATERMARK = Gauge(
    "forestall_watermark_timestamp_seconds",
    "The event time, in seconds since the epoch, before which the partition brings nothing more.",
    ("topic", "partition"),
)
WATERMARK_LAG = Computed(
    "forestall_watermark_lag_seconds",
    "How far the partition's watermark is behind the wall clock now.",
    ("topic", "partition"),
)
CONSUMER_ERRORS = Counter(
    "forestall_consumer_errors_total",
    "Errors that the client of the broker reported while reading: fatal or retriable.",
    ("severity",),
)

# -- what is done ----------------------------------------------------------------------------------------------------

BATCH_SECONDS = Histogram(
    "forestall_batch_seconds",
    "Wall time to judge and aggregate one batch of records.",
    ("topic",),
    FAST,
)
STAGE_SECONDS = Histogram(
    "forestall_stage_seconds",
    "Wall time of one activation of a key group.",
    ("stage",),
    FAST,
)
SNAPSHOT_SECONDS = Histogram(
    "forestall_snapshot_seconds",
    "Wall time to take one snapshot: of a partition, a key group or a sink part.",
    ("step",),
    FAST,
)
STATE_BYTES = Gauge(
    "forestall_state_bytes",
    "State that a restart would load.",
    ("step",),
    merge="sum",
)
EPOCH_SECONDS = Histogram(
    "forestall_epoch_seconds",
    "Wall time between two snapshots of the same partition.",
    (),
    WAIT,
)
DURABLE_SECONDS = Histogram(
    "forestall_durable_seconds",
    "Wall time from the snapshot of a sink part until its epoch is known to be durable.",
    (),
    WAIT,
)

# -- what goes out ---------------------------------------------------------------------------------------------------

RELEASED = Counter(
    "forestall_released_total",
    "Outputs released, by the store or topic that took them and by kind.",
    ("sink", "kind"),
)
FINDINGS = Counter(
    "forestall_findings_total",
    "Findings released into the store, by agent and kind.",
    ("agent", "kind"),
)
CASES = Counter(
    "forestall_case_events_total",
    "Case events released into the store: opened, updated, resolved or reopened.",
    ("change",),
)
DECISIONS = Counter(
    "forestall_decisions_total",
    "Decisions released into the store, by outcome.",
    ("outcome",),
)
HELD_BACK = Counter(
    "forestall_held_back_total",
    "What a guardrail held back, released into the store: a decision, or an action that was decided already.",
    ("guardrail", "kind"),
)
DRIFTS = Counter(
    "forestall_feature_drifts_total",
    "Lasting changes of a number that a model reads, released into the store, by number.",
    ("feature",),
)
LEVELS = Counter(
    "forestall_autonomy_changes_total",
    "Changes of how far a remedy may go by itself, released into the store, by agent, cause and level; none where a "
    "drift is over.",
    ("agent", "cause", "level"),
)
OUTCOMES = Counter(
    "forestall_autonomy_outcomes_total",
    "Outcomes of actions that bear on autonomy, released into the store: verified, failed, false, unclear or ignored.",
    ("result",),
)
REQUESTS = Counter(
    "forestall_requests_total",
    "Requests for approval released into the store, by the role that is asked first.",
    ("role",),
)
ANSWERS = Counter(
    "forestall_answers_total",
    "Answers to requests that counted, by the approver's role: how much it has to do, and how often it agrees.",
    ("role", "answer"),
)
REFUSALS = Counter(
    "forestall_refused_answers_total",
    "Answers to requests that did not count, by reason.",
    ("reason",),
)
ESCALATIONS = Counter(
    "forestall_escalations_total",
    "Rungs that requests climbed, by the role that may answer since, and whether it is told.",
    ("role", "told"),
)
REQUESTS_ENDED = Counter(
    "forestall_requests_ended_total",
    "Requests that are over: granted, rejected, expired or withdrawn.",
    ("outcome",),
)
ANSWER_SECONDS = Histogram(
    "forestall_answer_seconds",
    "Event time from a request until an answer that counted.",
    (),
    LONG,
)
REQUESTS_OPEN = Gauge(
    "forestall_requests_open",
    "Requests that wait for an answer, by the role that was asked first.",
    ("part", "role"),
)
REQUESTS_OLDEST = Gauge(
    "forestall_requests_oldest_timestamp_seconds",
    "When the oldest request that waits was made, event time, in seconds since the epoch; 0 when none waits.",
    ("part",),
)
REQUESTS_AGE = Computed(
    "forestall_requests_age_seconds",
    "How long the oldest request has waited for an answer; 0 when none waits.",
)
RELEASE_SECONDS = Histogram(
    "forestall_release_seconds",
    "Wall time of one release, by the store or topic that took it.",
    ("sink",),
    FAST,
)
OUTBOX_ENTRIES = Gauge(
    "forestall_outbox_entries",
    "Outputs that wait to be released.",
    ("part",),
)
OUTBOX_OLDEST = Gauge(
    "forestall_outbox_oldest_timestamp_seconds",
    "When the oldest output that waits was written, in seconds since the epoch; 0 when none waits.",
    ("part",),
)
OUTBOX_AGE = Computed(
    "forestall_outbox_age_seconds",
    "How long the oldest output has waited to be released; 0 when none waits.",
)
PRODUCER_ERRORS = Counter(
    "forestall_producer_errors_total",
    "Errors that the client of the broker reported while writing: fatal, abortable, retriable or delivery.",
    ("severity",),
)

# -- what is carried out ---------------------------------------------------------------------------------------------

ACTIONS = Counter(
    "forestall_actions_total",
    "Actions that came to a state of the ledger, by remedy.",
    ("remedy", "state"),
)
TAKEN_BACK = Counter(
    "forestall_compensations_total",
    "Effects that were to be taken back, by what came of it: undone, or refused by the target, or impossible.",
    ("remedy", "target", "result"),
)
ACTIONS_OPEN = Gauge(
    "forestall_actions_open",
    "Actions of which something is left to do or to ask.",
    ("shard",),
)
CALL_SECONDS = Histogram(
    "forestall_call_seconds",
    "Wall time of one call to a target, by what was asked and what came of it.",
    ("target", "operation", "result"),
    WAIT,
)
CALLS_HELD = Gauge(
    "forestall_calls_held",
    "Calls to a target that are under way or wait for a thread of its compartment.",
    ("target",),
    merge="sum",
)
ACTIONS_IN_LINE = Gauge(
    "forestall_actions_in_line",
    "Actions that wait until a target has room for them.",
    ("target",),
    merge="sum",
)
BREAKERS = Gauge(
    "forestall_breakers",
    "Shards whose circuit breaker of a target and an operation is closed, open or half-open.",
    ("target", "operation", "state"),
    merge="sum",
)
EFFECTS_UNKNOWN = Gauge(
    "forestall_effects_unknown",
    "Effects that were asked for and of which nothing is known yet.",
    ("shard",),
)
UNKNOWN_OLDEST = Gauge(
    "forestall_unknown_oldest_timestamp_seconds",
    "When the oldest effect of which nothing is known was asked for, in seconds since the epoch; 0 for none.",
    ("shard",),
)
UNKNOWN_AGE = Computed(
    "forestall_unknown_age_seconds",
    "For how long nothing has been known of an effect that was asked for; 0 when all is known.",
)
UNPUBLISHED = Gauge(
    "forestall_outcomes_unpublished",
    "Outcomes that wait to be published on their topic.",
    ("shard",),
)
FLAGS_HEARD = Gauge(
    "forestall_flags_heard_timestamp_seconds",
    "When it was last known which flags stand, in seconds since the epoch; else nothing is begun.",
)

# -- how long it takes -----------------------------------------------------------------------------------------------

EVENT_DELAY = Histogram(
    "forestall_event_delay_seconds",
    "From the event time of an output until it was due, by what it waited for: arrival, lateness or slowest_channel.",
    ("cause",),
    LONG,
)
PROCESSING = Histogram(
    "forestall_processing_seconds",
    "From the reading of the record that made an output due until the output was durable in the store.",
    (),
    WAIT,
)
END_TO_END = Histogram(
    "forestall_end_to_end_seconds",
    "From the event time of an output until it was durable in the store.",
    (),
    LONG,
)

# -- the job itself --------------------------------------------------------------------------------------------------

HEARTBEAT = Gauge(
    "forestall_heartbeat_timestamp_seconds",
    "When a worker was last allowed to go on, in seconds since the epoch; all stand still when one does.",
    ("worker",),
)
FLOW_WORKERS = Gauge(
    "forestall_flow_workers",
    "Workers the flow runs on: threads of all processes.",
)
READY = Computed(
    "forestall_ready",
    "1 while all workers run and all partitions make progress: what /health/ready says.",
)
PROCESSES = Computed(
    "forestall_processes",
    "Worker processes that live.",
)
STARTS = Counter(
    "forestall_process_starts_total",
    "How often a worker process was started since the job was.",
    ("process",),
)
RESIDENT = Computed(
    "forestall_process_resident_memory_bytes",
    "Memory that a worker process holds.",
    ("process",),
)
CPU = Computed(
    "forestall_process_cpu_seconds_total",
    "Processor time that a worker process has used.",
    ("process",),
    kind="counter",
)
OPEN_FILES = Computed(
    "forestall_process_open_fds",
    "File handles that a worker process holds.",
    ("process",),
)
BUILD = Computed(
    "forestall_build_info",
    "1; the version is in the label.",
    ("version",),
)
