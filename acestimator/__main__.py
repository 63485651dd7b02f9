"""``python -m acestimator``."""

import sys

from acestimator.cli import main

sys.exit(main())
