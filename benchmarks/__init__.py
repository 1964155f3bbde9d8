"""Every figure that the project claims, as a command that measures it and prints it beside its peer."""
