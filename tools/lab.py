"""Open JupyterLab on a notebook: `python tools/lab.py NOTEBOOK [any option of jupyter lab]`.

It helps where a learner would be stuck: it says when the port is taken, and root may start it.
"""

import argparse
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

FIRST_PORT = 8888
REPOSITORY = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> NoReturn:
    notebook, *options = arguments
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--port", "--ServerApp.port", type=int)
    parser.add_argument("--ip", "--ServerApp.ip", default="localhost")
    chosen, _ = parser.parse_known_args(options)

    if chosen.port is None:
        port = next(port for port in range(FIRST_PORT, 65536) if is_free(chosen.ip, port))
        if port != FIRST_PORT:
            print(
                f"mmlocks: port {FIRST_PORT} is taken, so this JupyterLab is on port {port}",
                flush=True,
            )
        options += ["--port", str(port)]
    elif chosen.port and not is_free(chosen.ip, chosen.port):  # port 0 means: any free one
        raise SystemExit(
            f"mmlocks: port {chosen.port} is taken by another program. "
            "Leave --port out, or choose another: "
            f'make lab JUPYTER_ARGS="--port {chosen.port + 1}". '
            "(`.venv/bin/jupyter server list` shows the JupyterLabs that are running.)"
        )
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # JupyterLab refuses root without it, and a container's user is often root.
        options.append("--allow-root")
    # The repository is the root of the server, so that the lesson's link to its lab leads to it.
    # Our own notebooks are trusted, so that their stored pictures show before a cell has run.
    options += [f"--ServerApp.root_dir={REPOSITORY}"]
    if Path(notebook).exists():
        options += [f"--LabApp.default_url=/lab/tree/{notebook}"]
        ours = [
            str(path)
            for folder in ("lessons", "solutions")
            for path in sorted((REPOSITORY / folder).glob("*.ipynb"))
        ]
        subprocess.run(
            [sys.executable, "-m", "jupyter", "trust", *ours], check=False, capture_output=True
        )
    command = [sys.executable, "-m", "jupyterlab", *options]
    os.execv(sys.executable, command)  # so that Ctrl-C and the exit code are JupyterLab's own


def is_free(host: str, port: int) -> bool:
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM
    ):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            # A machine without IPv6 fails there in other ways, and has the port on IPv4.
            if family == socket.AF_INET or error.errno == errno.EADDRINUSE:
                return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
