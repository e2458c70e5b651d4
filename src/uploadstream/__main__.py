"""`python -m uploadstream` is the command `uploadstream`."""

from uploadstream.cli import main

if __name__ == "__main__":
    main()
