"""What happens around the training steps, a callback a file; and what files are called that they leave."""

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
NEXT = "next.ckpt"  # while it is written
