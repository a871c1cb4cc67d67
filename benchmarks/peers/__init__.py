"""Other methods and libraries, for comparison; each in a process of its own."""
