"""What is done when it is decided to do something: one file per remedy."""
