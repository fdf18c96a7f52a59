"""Callbacks for trainers of other projects; each needs its project installed."""
