"""`python -m mailplat` is the command `mailplat`."""

import sys

from mailplat.app.cli import main

sys.exit(main())
