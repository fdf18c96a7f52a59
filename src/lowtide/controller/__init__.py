"""What a training run is run with: chosen from what was measured, on this run and those before."""
