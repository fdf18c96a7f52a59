"""An energy label: how many times less an inference takes than the teacher's, as trained."""

LABELS = (("A", 16.0), ("B", 8.0), ("C", 4.0), ("D", 2.0), ("E", 1.0), ("F", 0.5))
SCALE = (
    "A from 16 times less joules per inference than the teacher in torch, then a half each: B 8, "
    "C 4, D 2, E 1, F 0.5, G below. Of this project alone; compare labels of one host, runtime and "
    "teacher"
)


def energy_label(times_less: float | None) -> str:
    """A to G; unknown where the ratio is."""
    if times_less is None:
        return "unknown"
    return next((label for label, least in LABELS if times_less >= least), "G")
