"""Agents: one manifest each, and the module that reads them."""
