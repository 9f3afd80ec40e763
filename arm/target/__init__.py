"""Where the chosen routes go: each target applies plans in order, and says what really happened (see `base`)."""
