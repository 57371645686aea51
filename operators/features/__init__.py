"""Feature views: what a model reads of an order. One piece of code computes each, for the job and for an export."""
