"""What `make bench` measures: throughput against bare decoding, cost per layer, memory, snapshots, state."""
