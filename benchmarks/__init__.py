"""Load, latency and the peers they are compared with. Figures are printed, never asserted; see docs/benchmarks.md."""
