"""Tables and plots from results alone, in formats to read, to print and to reckon with."""
