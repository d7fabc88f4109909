"""`python -m kinowatt` is the command line."""

from kinowatt.cli import main

main()
