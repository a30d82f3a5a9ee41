"""What training costs before it is run: operations, bytes and hours, from a model's sizes."""
