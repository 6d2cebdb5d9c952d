"""The kinds of calls that can be played, by their number."""
