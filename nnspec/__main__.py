"""`python -m nnspec`."""

from nnspec.cli.main import main

if __name__ == "__main__":
    main()
