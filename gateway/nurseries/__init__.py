"""Everything that lives longer than a request, and every scope with a deadline."""
