"""Domain agents: what each domain can find, as keyed logic over journeys, windows and detectors."""
