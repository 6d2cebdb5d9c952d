"""What each kind of event does to a call. Pure."""
