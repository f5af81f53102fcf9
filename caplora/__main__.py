"""`python -m caplora`."""

import sys

from caplora.commands import main

sys.exit(main())
