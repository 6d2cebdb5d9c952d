"""The HTTP edge: intake of host webhooks, the internal listener, error bodies."""
