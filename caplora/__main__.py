"""`python -m caplora`."""

import sys

from caplora.cli import main

sys.exit(main())
