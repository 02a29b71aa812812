"""`python -m sandbox`. An interrupt while it is only being read says that, and shows no traceback."""

import sys

try:
    from sandbox.commands import main
except KeyboardInterrupt:
    sys.exit("Interrupted. Nothing was begun.")

main()
