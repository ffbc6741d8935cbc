"""One module a command. Its imports wait until it runs, so that no command pays for another's."""
