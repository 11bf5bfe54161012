"""How a program in Python speaks with Angarium: connected, logged in, and told why where it is refused."""

import sys
from pathlib import Path

# What generate.py has written; an application of your own would install it as a package.
sys.path.insert(0, str(Path(__file__).parent.parent / "gen"))
