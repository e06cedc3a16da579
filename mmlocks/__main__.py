"""`python -m mmlocks` is `mmlocks`."""

from mmlocks.cli import main

if __name__ == "__main__":
    main()
