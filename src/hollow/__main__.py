"""`python -m hollow` is the `hollow` command."""

from hollow.cli import main

if __name__ == "__main__":
    main()
