"""The power limit goes back on every way out; against a driver library of our own."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from lowtide.energy.power_limit import limits
from tests.energy.conftest import Driver

NO_PERMISSION, NOT_SUPPORTED, GPU_IS_LOST, DRIVER_NOT_LOADED = 4, 3, 15, 9
HEAD = """
import atexit, logging, os, signal, sys, threading, time
from pathlib import Path
from lowtide.energy.power_limit import PowerLimit, restore_limits
from lowtide.errors import UsageError

logging.basicConfig(format="%(message)s")
STATE = Path("limits")

def wait():
    print("ready", flush=True)
    sys.stdin.readline()

"""
WORK = """
with PowerLimit(STATE) as power:
    print(power.set(200))
    print("work")
"""
WAITS = """
with PowerLimit(STATE) as power:
    power.set(250)
    power.set(200)
    wait()
"""
BOTH_SET = ["0.set 200000", "1.set 200000"]
BOTH_BACK = ["0.set 300000", "1.set 300000"]


@pytest.fixture
def gpus(driver: Driver) -> Driver:
    driver.write("count 2")
    return driver


def started(driver: Driver, program: str) -> subprocess.Popen[str]:
    process = driver.start(HEAD + program)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: subprocess.Popen[str], number: int) -> str:
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == -number
    return said


def records(driver: Driver) -> list[str]:
    return sorted(path.name for path in (driver.folder / "limits").glob("*.json"))


def test_it_is_set_and_goes_back(gpus: Driver) -> None:
    assert gpus.run(HEAD + WORK) == ("True\nwork\n", "")
    assert gpus.calls == BOTH_SET + BOTH_BACK
    assert records(gpus) == []


def test_the_documented_example_profiles_a_ladder(driver: Driver) -> None:
    page = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    driver.write("count 1")
    driver.run(program.replace("/var/lib/lowtide/limits", "limits"))
    ladder = [300, 250, 200, 150, 100]
    assert driver.calls == [f"0.set {watts}000" for watts in [*ladder, 300]]


def test_what_was_never_set_is_never_given_back(gpus: Driver) -> None:
    gpus.run(HEAD + "with PowerLimit(STATE) as power: print(power.range_w)")
    assert gpus.calls == []


def test_each_change_holds_and_the_limit_that_was_found_comes_back(gpus: Driver) -> None:
    """Which is not the driver's default."""
    gpus.write("0.limit 280000", "1.limit 280000")
    gpus.run(HEAD + "with PowerLimit(STATE) as power: power.set(250); power.set(120.4)")
    assert [call for call in gpus.calls if call.startswith("0")] == [
        "0.set 250000", "0.set 120000", "0.set 280000",
    ]  # fmt: skip


def test_a_cap_that_somebody_has_set_is_never_raised(gpus: Driver) -> None:
    gpus.write("1.limit 250000")
    program = """
with PowerLimit(STATE) as power:
    print(power.range_w)
    try:
        power.set(251)
    except UsageError as error:
        print(error)
    power.set(250)
"""
    out, _ = gpus.run(HEAD + program)
    assert out.splitlines() == [
        "(100.0, 250.0)",
        "a power limit of 251 W: the GPUs take 100 to 250 W (the limit that was found is never "
        "raised)",
    ]
    assert gpus.calls == ["0.set 250000", "1.set 250000", "0.set 300000"]


@pytest.mark.parametrize(
    "way",
    [
        "with PowerLimit(STATE) as power:\n    power.set(200)\n    sys.exit(0)",
        "try:\n    with PowerLimit(STATE) as power:\n        power.set(200)\n        1 / 0\n"
        "except ZeroDivisionError: pass",
        "power = PowerLimit(STATE).__enter__(); power.set(200)",
        "def work():\n    with PowerLimit(STATE) as power: power.set(200)\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()",
    ],
    ids=["exit", "exception", "never left", "thread"],
)
def test_it_goes_back_on_every_ordinary_way_out(gpus: Driver, way: str) -> None:
    _, said = gpus.run(HEAD + way)
    assert (gpus.calls, records(gpus), said) == (BOTH_SET + BOTH_BACK, [], "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_goes_back_before_a_signal_ends_the_process(gpus: Driver, number: int) -> None:
    as_usual = f"signal.signal({int(number)}, signal.SIG_DFL)\n"  # under nohup SIGHUP is ignored
    assert ended(started(gpus, as_usual + WAITS), number) == ""
    assert (gpus.calls[4:], records(gpus)) == (BOTH_BACK, [])


def test_ctrl_c_unwinds(gpus: Driver) -> None:
    assert "KeyboardInterrupt" in ended(
        started(gpus, "signal.signal(signal.SIGINT, signal.default_int_handler)\n" + WAITS),
        signal.SIGINT,
    )
    assert (gpus.calls[4:], records(gpus)) == (BOTH_BACK, [])


def test_a_handler_of_the_program_s_own_decides(gpus: Driver) -> None:
    """It gets the signal, and the limit goes back where it leaves the block."""
    handled = "signal.signal(signal.SIGTERM, lambda *_: print('checkpoint') or sys.exit(75))\n"
    process = started(gpus, handled + WAITS)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) == ("checkpoint\n", 75)
    assert gpus.calls[4:] == BOTH_BACK


def test_signals_are_as_they_were_afterwards(gpus: Driver) -> None:
    program = "seen = lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n" + WORK
    out, _ = gpus.run(HEAD + program + "    print(seen())\nprint(seen())")
    assert out == "True\nwork\nFalse\nTrue\n"


def test_a_forked_worker_that_ends_gives_nothing_back(gpus: Driver) -> None:
    """A data loader's workers are ended by SIGTERM while the training goes on."""
    worker = """
with PowerLimit(STATE) as power:
    power.set(200)
    heard, say = os.pipe()
    if (child := os.fork()) == 0:
        os.write(say, b"!")
        time.sleep(60)
    os.read(heard, 1)
    os.kill(child, signal.SIGTERM)
    print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
    if (child := os.fork()) == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = gpus.start(HEAD + worker)
    out, _ = process.communicate(timeout=30)
    assert out == f"{int(signal.SIGTERM)}\n"
    assert gpus.calls == BOTH_SET


@pytest.mark.parametrize("next_start", [WORK, "restore_limits(STATE)"], ids=["opted in", "not"])
def test_the_next_start_gives_back_what_kill_9_has_left(gpus: Driver, next_start: str) -> None:
    ended(started(gpus, WAITS), signal.SIGKILL)
    assert records(gpus) == ["GPU-0.json", "GPU-1.json"]
    _, said = gpus.run(HEAD + next_start)
    assert gpus.calls[4:6] == BOTH_BACK
    assert (gpus.calls[-2:], records(gpus), said) == (BOTH_BACK, [], "")


@pytest.mark.parametrize(
    ("instant", "limit_left"), [(1, 250), (2, 200)], ids=["before the call", "after it"]
)
def test_no_instant_of_a_change_is_too_early_for_kill_9(
    driver: Driver, instant: int, limit_left: int
) -> None:
    """A change from one limit of ours to another, killed just before or after the driver acts."""
    kill = f"""
with PowerLimit(STATE) as power:
    power.set(250)
    with open(os.environ["FAKE_NVML"], "a") as file:
        print("0.set.kill {instant}", file=file)
    power.set(200)
"""
    driver.write("count 1")
    process = driver.start(HEAD + kill)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert driver.value("0.limit") == limit_left * 1000
    driver.write("0.set.kill 0")
    driver.run(HEAD + "restore_limits(STATE)")
    assert driver.calls == ["0.set 250000", "0.set 200000", "0.set 300000"]
    assert records(driver) == []


def test_a_limit_that_somebody_else_has_set_stays(gpus: Driver) -> None:
    """While this process lived, and after it was killed."""
    process = started(gpus, WAITS)
    gpus.write("0.limit 150000")
    process.communicate("\n", timeout=30)
    assert gpus.calls[4:] == ["1.set 300000"]
    gpus.write("0.limit 300000")
    ended(started(gpus, WAITS), signal.SIGKILL)
    gpus.write("0.limit 160000", "1.limit 160000")
    gpus.run(HEAD + "restore_limits(STATE)")
    assert (len(gpus.calls), records(gpus)) == (9, [])


def test_without_permission_nothing_changes_and_the_work_goes_on(gpus: Driver) -> None:
    gpus.write(f"0.set.error {NO_PERMISSION}")
    out, said = gpus.run(HEAD + WORK + "    print(power.set(250))")
    assert out == "False\nwork\nFalse\n"
    assert said == (
        "power limits are not changed from here on: gpu0 does not let this user change it: "
        "run as root, or ask for `nvidia-smi -pl`\n"
    )
    assert (gpus.calls, records(gpus)) == (["0.refused 200000"], [])


@pytest.mark.parametrize("error", [NO_PERMISSION, GPU_IS_LOST])
def test_all_gpus_are_limited_or_none(gpus: Driver, error: int) -> None:
    gpus.write(f"1.set.error {error}")
    out, said = gpus.run(HEAD + WORK)
    assert (out, said.count("gpu1")) == ("False\nwork\n", 1)
    assert gpus.calls == ["0.set 200000", "1.refused 200000", "0.set 300000"]
    assert records(gpus) == []


def test_a_gpu_that_is_lost_is_said_and_given_back_by_the_next_start(gpus: Driver) -> None:
    process = started(gpus, WAITS)
    gpus.write(f"0.limit.error {GPU_IS_LOST}")
    _, said = process.communicate("\n", timeout=30)
    assert process.returncode == 0
    assert said == (
        "GPU-0 keeps its power limit (GPU is lost): `nvidia-smi -i GPU-0 -pl 300` gives it back\n"
    )
    assert (gpus.calls[4:], records(gpus)) == (["1.set 300000"], ["GPU-0.json"])
    out, said = gpus.run(HEAD + WORK)  # still lost
    assert (out, said.count("GPU-0 keeps its power limit")) == ("False\nwork\n", 1)
    gpus.write("0.limit.error 0")
    gpus.run(HEAD + "restore_limits(STATE)")
    assert (gpus.calls[5:], records(gpus)) == (["0.set 300000"], [])


@pytest.mark.parametrize(
    ("state", "environment", "reason"),
    [
        (f"init.error {DRIVER_NOT_LOADED}", {}, "the GPU driver refuses (Driver Not Loaded)"),
        ("count 0", {}, "this process may use no GPU"),
        ("1.mig 1", {}, "gpu1 is split by MIG: its limit would hold for all slices"),
        ("1.model 9", {"CUDA_VISIBLE_DEVICES": "1"}, "name whole GPUs by UUID"),
        (f"1.range.error {NOT_SUPPORTED}", {}, "gpu1 refuses (Not Supported)"),
        (f"0.limit.error {NOT_SUPPORTED}", {}, "gpu0 refuses (Not Supported)"),
        (f"1.handle.error {GPU_IS_LOST}", {}, "the GPU driver refuses (GPU is lost)"),
        ("0.limit 140000\n1.limit.min 150000", {}, "there is none that all GPUs may have"),
    ],
)
def test_what_cannot_be_limited_is_said_once(
    gpus: Driver, state: str, environment: dict[str, str], reason: str
) -> None:
    gpus.write(state)
    out, said = gpus.run(HEAD + WORK, **environment)
    assert out == "False\nwork\n"
    assert said.startswith("the power limit stays as it is: ")
    assert reason in said
    assert (said.count("\n"), gpus.calls) == (1, [])


def test_only_the_gpus_of_this_process_are_limited(gpus: Driver) -> None:
    gpus.run(HEAD + WORK, CUDA_VISIBLE_DEVICES="GPU-1")
    assert gpus.calls == ["1.set 200000", "1.set 300000"]


def test_one_process_at_a_time_holds_a_gpu(gpus: Driver) -> None:
    first = started(gpus, WAITS)
    out, said = gpus.run(HEAD + WORK)
    assert out == "False\nwork\n"
    assert "gpu0 has it set by another process: wait for its end" in said
    first.communicate("\n", timeout=30)
    assert gpus.calls[4:] == BOTH_BACK
    assert gpus.run(HEAD + WORK)[0] == "True\nwork\n"


@pytest.mark.parametrize("watts", ["99", "149", "301", "0", "-1", "nan"])
def test_a_limit_that_the_gpus_do_not_take_is_refused(gpus: Driver, watts: str) -> None:
    """The range that all have in common: 150 to 300 W here."""
    gpus.write("0.limit.min 150000", "1.limit.max 400000")
    program = """
with PowerLimit(STATE) as power:
    print(power.range_w)
    try:
        power.set(float(sys.argv[1]))
    except UsageError as error:
        print(error)
"""
    out, _ = gpus.run(HEAD + program, watts)
    refusal = f"a power limit of {watts} W: the GPUs take 150 to 300 W"
    limits_told, said = out.splitlines()
    assert (limits_told, said.startswith(refusal)) == ("(150.0, 300.0)", True)
    assert gpus.calls == []


def test_the_ends_of_a_range_that_are_no_whole_watts_can_be_set(driver: Driver) -> None:
    driver.write("count 1", "0.limit.min 100500", "0.limit.max 299500", "0.limit 299500")
    program = "with PowerLimit(STATE) as power: power.set(100.5); power.set(299.5)"
    driver.run(HEAD + program)
    assert driver.calls == ["0.set 100500", "0.set 299500"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"former_mw": "x", "ours_mw": []}'])
def test_a_broken_record_is_named_and_nothing_changes(gpus: Driver, content: str) -> None:
    (gpus.folder / "limits").mkdir()
    (gpus.folder / "limits" / "GPU-1.json").write_text(content)
    out, said = gpus.run(HEAD + WORK)
    assert out == "False\nwork\n"
    assert "limits/GPU-1.json does not tell the former power limit of GPU-1" in said
    assert (gpus.calls, records(gpus)) == ([], ["GPU-1.json"])


def test_a_state_folder_that_cannot_be_written_changes_nothing(gpus: Driver) -> None:
    (gpus.folder / "limits").write_text("a file")
    out, said = gpus.run(HEAD + WORK)
    assert out == "False\nwork\n"
    assert "cannot write limits/GPU-0.json" in said
    assert gpus.calls == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((100, 300, 5), (300, 250, 200, 150, 100)),
        ((100, 250, 4), (250, 200, 150, 100)),
        ((100.5, 299.5, 2), (299, 101)),
        ((100, 300, 1), (300,)),
        ((100, 102, 10), (102, 101, 100)),
        ((250, 250, 3), (250,)),
    ],
)
def test_the_ladder_holds_both_ends(
    arguments: tuple[float, float, int], expected: tuple[float, ...]
) -> None:
    assert limits(*arguments) == expected


@pytest.mark.parametrize("arguments", [(300, 100, 3), (100, 300, 0), (100.2, 100.8, 2)])
def test_a_ladder_without_rungs_is_refused(arguments: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="there are none"):
        limits(*arguments)
