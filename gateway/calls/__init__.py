"""What happened: events, numbers, calls. Pure: no I/O, no clock, no logging; time comes in with the event."""
