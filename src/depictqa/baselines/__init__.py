"""Who stands beside the model under test: score metrics and other multimodal language models, asked the same."""
