"""`python -m healthboard PROGRAM …` is `healthboard-run PROGRAM …`."""

import sys

from .run import main

sys.exit(main())
