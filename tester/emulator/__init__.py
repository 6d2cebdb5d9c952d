"""The emulator: it plays a call of a pattern against a gateway and shows what becomes of it."""
