"""`python -m kadnet` is `kadnet`."""

from kadnet.cli.main import main

if __name__ == "__main__":
    main()
