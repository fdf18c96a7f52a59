"""Prefect tasks: each acts on the world once and computes nothing."""
