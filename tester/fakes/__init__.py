"""Stand-ins for the outside world, faithful enough to be trusted by tests and the demo."""
