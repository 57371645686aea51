"""Public benchmarks of anomaly detection: their data, their scoring, and the detectors to compare with."""
