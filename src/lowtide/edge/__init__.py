"""Models on small devices and in browsers."""
