"""A Python client of Angarium: connections, sessions and error details."""

import sys
from pathlib import Path

# The output of generate.py; an application would install it as a package.
sys.path.insert(0, str(Path(__file__).parent.parent / "gen"))
