"""The peers by name, for who does not want to import them."""

SPEED_UPS = (2.0, 3.0, 5.0)  # of multiply-adds, for torch-pruning
PEERS = ("NNCF", "Olive", *(f"torch-pruning {speed_up:.0f}x" for speed_up in SPEED_UPS))
PACKAGES = ("nncf", "olive-ai", "torch-pruning")
