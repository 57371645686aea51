"""The same graph over recorded bytes: recordings, their sources, and the simulated world."""
