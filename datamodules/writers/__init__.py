"""Writers turn what is known of an image into text."""
