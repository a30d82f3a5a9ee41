"""Pages in a browser on which people state what they see, and read what was written of it."""
