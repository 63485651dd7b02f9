"""What the paper states: its labelling processes, its closed form, its theorems and Table 1, and where they fail."""
