"""Whether the target ratio was reached is said, by joules or else by time."""

from lowtide.evaluation.target import reached

LAYERS = [
    {"name": "a_nchwc", "module": "net.stem", "op_type": "Conv", "seconds": 3e-6, "share": 0.3},
    {"name": "b_nchwc", "module": None, "op_type": "Add", "seconds": 7e-6, "share": 0.7},
]


def times_less(joules: float | None) -> dict[str, float | None]:
    return {"inference_energy_j": joules, "inference_time_s": 5.0}


def test_a_missed_target_says_what_was_reached_and_where_the_time_goes() -> None:
    found = reached("int8", times_less(3.94), LAYERS, 6.0)
    assert not found.met
    assert (found.times_less, found.by, found.energy_ratio_min) == (3.94, "joules", 6.0)
    assert found.said == (
        "int8 takes 3.94 times fewer joules per inference than the teacher: the target of 6 "
        "(compress.energy_ratio_min) is missed; 70% of its time is in b_nchwc (Add)"
    )
    assert reached("int8", times_less(3.94), [], 6.0).said.endswith("is missed")


def test_a_target_that_is_met_says_so() -> None:
    found = reached("int8", times_less(6.0), LAYERS, 6.0)
    assert found.met
    assert found.said.endswith("the target of 6 (compress.energy_ratio_min) is met")


def test_unknown_joules_are_told_by_time() -> None:
    found = reached("fp32", times_less(None), LAYERS, 4.0)
    assert (found.met, found.times_less, found.by) == (True, 5.0, "time")
    assert "5.00 times less time (joules are unknown)" in found.said
