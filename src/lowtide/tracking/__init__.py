"""MLflow, never in the way: a journal takes every record at once, a thread sends it on."""

from lowtide.tracking.delivery import Delivery, Unsent, delivery, tracking_uri
from lowtide.tracking.runs import Run, Tracker, link_cached, wait_for_run_id

__all__ = [
    "Delivery",
    "Run",
    "Tracker",
    "Unsent",
    "delivery",
    "link_cached",
    "tracking_uri",
    "wait_for_run_id",
]
