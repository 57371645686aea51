"""Numbers to evidence: online anomaly detectors that know nothing of streams."""
