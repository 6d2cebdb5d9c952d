"""Caches for look-ups that must be fast."""
