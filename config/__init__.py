"""What is agreed: settings, contracts, policies, and the values that flow. Nothing here runs a stream."""
