"""`python -m gdsim.cli`, as `gdsim`."""

from gdsim.cli import main

if __name__ == "__main__":
    main()
