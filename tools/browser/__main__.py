"""Build the page, and serve it to look at.

python -m tools.browser build -o site [--data FOLDER_OF_MNIST]
python -m tools.browser serve site [--port 8000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.browser.build import build
from tools.browser.serve import Site


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.browser", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("build")
    making.add_argument("-o", "--output", type=Path, default=Path("site"))
    making.add_argument("--data", type=Path, help="the folder of MNIST's files; without it the page has the spirals only")
    serving = commands.add_parser("serve")
    serving.add_argument("folder", type=Path)
    serving.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    if arguments.command == "build":
        build(arguments.output, arguments.data)
        print(f"{arguments.output}: python -m tools.browser serve {arguments.output}")
        return
    with Site(arguments.folder, arguments.port) as site:
        print(f"{site.address} (Ctrl-C ends it)")
        site.thread.join()


if __name__ == "__main__":
    main()
