"""Which service calls which: what an operator knows of the fleet beyond its measurements."""
