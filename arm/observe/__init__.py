"""What is true now, for those who look: nobody here changes anything.

`board` has the latest status and asks the engine for more, `trend` remembers, `health` judges, `metrics` writes for
Prometheus, `logs` and `notify` speak to the journal and to the service manager.
"""
