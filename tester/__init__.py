"""The emulator and the test kit: patterns of calls, fakes, the in-memory store."""
