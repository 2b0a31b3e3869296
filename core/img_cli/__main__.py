"""``python -m img_cli``."""

from img_cli.main import main

main()
