"""The world: the outbox and the stores it releases into."""
