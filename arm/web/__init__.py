"""The page, the REST API and the metrics, over the board: nothing here waits on the engine for more than a question."""
