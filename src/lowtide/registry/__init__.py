"""The MLflow model registry: versions, who is candidate and champion, and who was it when."""

from lowtide.registry.client import CANDIDATE, CHAMPION, MODEL
from lowtide.registry.fetching import fetch_champion
from lowtide.registry.history import Event, history
from lowtide.registry.promotion import (
    Reason,
    RegisteredVersion,
    champion_version,
    register,
    rollback,
)

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "MODEL",
    "Event",
    "Reason",
    "RegisteredVersion",
    "champion_version",
    "fetch_champion",
    "history",
    "register",
    "rollback",
]
