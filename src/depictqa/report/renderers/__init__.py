"""A table in each format that it is wanted in; what is escaped, and how, is each format's own business."""
