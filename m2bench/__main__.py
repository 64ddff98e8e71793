"""``python -m m2bench`` is the command ``m2bench``."""

from .cli.app import main

if __name__ == "__main__":
    main()
