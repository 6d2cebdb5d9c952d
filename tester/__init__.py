"""The emulator and the test kit: scenarios, fakes, the in-memory store."""
