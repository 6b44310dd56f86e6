"""``python -m neuropil``: the command line."""

from neuropil.cli import main

if __name__ == "__main__":
    main()
