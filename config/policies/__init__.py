"""Policies: bundles of decision tables in YAML, and the module that loads and checks them."""
