"""`python -m mailplat` is the command `mailplat`."""

import sys

from mailplat.app.cli import main

if __name__ == "__main__":  # a process that rebuild starts imports this too
    sys.exit(main())
