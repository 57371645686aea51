"""Stream to stream: the runtime (frames, key groups), decoding, windows, journeys, cases, decisions."""
