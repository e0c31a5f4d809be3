"""`import retina_codec` and `retina-codec --help` stay light."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "matplotlib", "sklearn", "pynwb", "xarray")

CASES = {
    "import": "import retina_codec",
    "help": (
        "import sys\n"
        "sys.argv = ['retina-codec', '--help']\n"
        "from retina_codec import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
    ),
}


@pytest.mark.parametrize("code", CASES.values(), ids=CASES)
def test_loads_nothing_heavy(code):
    check = f"import sys\nprint([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{check}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"


def test_submodules_come_when_asked():
    code = "import retina_codec as rc; assert rc.stimuli.white_noise; assert 'causal' in dir(rc)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
