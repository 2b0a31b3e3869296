"""The command line: the outermost ring. Only here are the environment, the terminal, argv and exit codes known."""
