"""Benchmarks: each prints one table and writes benchmarks/results/NAME.json."""
