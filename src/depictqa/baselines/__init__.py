"""Score metrics that answer the model's own questions, so that their rows stand beside its row."""
