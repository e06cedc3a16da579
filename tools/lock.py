"""Write constraints.txt: one version of everything, for every Python and system that we support.

`make lock` runs this and provides uv. The file has no address of an index, so any mirror will do.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "constraints.txt"
HEADER = """\
# Every package that an installation may bring, at the version we test with: CPython 3.11 to 3.14.
# Written by `make lock` from pyproject.toml; not edited by hand.
"""
OPTIONS = ["--universal", "--python-version", "3.11", "--all-extras", "--upgrade", "--system-certs"]
BARE = ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]


def main() -> int:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        print("mmlocks: uv is not installed beside this Python; run make lock", file=sys.stderr)
        return 1
    command = [uv, "pip", "compile", "--quiet", *OPTIONS, *BARE, "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        OUTPUT.write_text(HEADER + done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
