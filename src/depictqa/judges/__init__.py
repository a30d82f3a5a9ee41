"""Language models as judges of other models' texts: what they are asked, what their grades say, and how it counts."""
