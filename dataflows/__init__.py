"""The wiring: builds the Bytewax graphs; no logic here."""
