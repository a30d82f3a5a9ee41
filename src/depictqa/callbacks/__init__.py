"""What happens around the training steps, a callback a file; and what files are called that they leave."""

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
NEXT = "next.ckpt"  # while it is written
VALIDATION_DUE = "validation_due"  # an entry of a checkpoint: the validation that follows it was still to be made
