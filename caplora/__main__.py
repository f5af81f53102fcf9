"""`python -m caplora`."""

import sys

from caplora.commands.cli import main

sys.exit(main())
