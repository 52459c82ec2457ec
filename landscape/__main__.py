"""`python -m landscape` is the command line."""

import sys

from landscape.cli import main

if __name__ == "__main__":
    sys.exit(main())
