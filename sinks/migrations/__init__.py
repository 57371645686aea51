"""How the store's tables came to be, step by step; run by `sinks.store` when a store is opened."""
