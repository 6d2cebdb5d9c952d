"""The page of the test kit: its examples are files that pass as they are, anywhere, and those in virtual time spend no real time."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET

from trio.testing import MockClock

from tester.databases import Databases
from tester.fakes.telegram import FaultKind
from tester.virtual import BOT, House

GUIDE = (Path(__file__).parent.parent / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```(python|ini)\n# (\S+)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
FILES = {name: text for _, name, text in BLOCKS}
TESTS = {name: text for name, text in FILES.items() if name.startswith("test_")}
FOR_REAL = {"test_for_real.py"}
STORY = re.search(r"^```text\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
# Far above what they take; only examples that hang come to it.
GIVE_UP_SECONDS = 120

# A clock whose rate is 0 moves by jumps alone: whatever was slept under it has taken no real time. (`house` sees to it that it is used.)
CLOCK_WATCH = """
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def clock_watch(request):
    clock = request.getfixturevalue("autojump_clock") if "autojump_clock" in request.fixturenames else None
    yield
    is_still = clock is not None and clock.rate == 0.0
    with Path("clocks.txt").open("a") as seen:
        seen.write(f"{request.node.name} {is_still} {clock.current_time() if is_still else 0.0}\\n")
"""


def name_of_test(text: str) -> str:
    (name,) = re.findall(r"^async def (test_\w+)", text, re.MULTILINE)
    return name


def run_pytest(directory: Path, databases: Databases, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The examples are run as those of a stranger: not in this project, and with nothing of the worker that runs this test.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GATEWAY_"))}
    environment = {**inherited, "GATEWAY_TEST_DATABASE_URL": databases.server_url}
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-config", *arguments)
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=GIVE_UP_SECONDS)


def test_every_block_of_code_is_a_file_with_a_name() -> None:
    assert len(re.findall(r"^```(?:python|ini)$", GUIDE, re.MULTILINE)) == len(FILES) == len(BLOCKS)
    assert set(FILES) - set(TESTS) == {"pytest.ini", "conftest.py"}
    assert set(TESTS) > FOR_REAL


def test_the_examples_pass_and_spend_no_real_time_where_it_is_virtual(tmp_path: Path, databases: Databases) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "clock_watch.py").write_text(CLOCK_WATCH)
    # The clock is easily forgotten.
    (tmp_path / "test_without_a_clock.py").write_text("async def test_without_a_clock(house):\n    await house.start()\n")
    # The page shows what a failed test comes with: the third step, failing at its end.
    (tmp_path / "test_that_fails.py").write_text(FILES["test_a_limit.py"] + "    raise AssertionError('on purpose')\n")
    done = run_pytest(tmp_path, databases, "-p", "clock_watch", "-W", "error", "--junitxml=outcomes.xml")
    outcomes = {
        f"{case.get('classname')}.py": next((child.tag for child in case), "passed")
        for case in ET.parse(tmp_path / "outcomes.xml").iter("testcase")
    }
    assert outcomes == {**dict.fromkeys(TESTS, "passed"), "test_that_fails.py": "failure", "test_without_a_clock.py": "failure"}, (
        done.stdout
    )
    assert "a test that takes `house` must take `autojump_clock` too" in done.stdout
    assert STORY is not None
    assert STORY[1] in done.stdout

    clocks = [line.split() for line in (tmp_path / "clocks.txt").read_text().splitlines()]
    is_virtual = {name: is_still == "True" for name, is_still, _ in clocks if name != "test_without_a_clock"}
    assert is_virtual == {name_of_test(text): name not in FOR_REAL for name, text in TESTS.items()}
    assert sum(float(seconds) for _, _, seconds in clocks) > 1000


async def test_every_line_of_trouble_can_be_said(house: House, autojump_clock: MockClock) -> None:
    lines = re.findall(r"`(house\.telegram\.[^`]+\))`[,|  \w`.]*\|?$", GUIDE, re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        eval(line, {"house": house, "FaultKind": FaultKind, "BOT": BOT})
    assert house.telegram.faults == []
    assert not house.store.unavailable


def test_every_module_that_the_page_names_is_there() -> None:
    names = set(re.findall(r"`(tester(?:\.\w+)+)`", GUIDE))
    assert len(names) > 10
    for name in names:
        import_module(name)
