"""What the commands do, without the printing: each returns what it found."""
