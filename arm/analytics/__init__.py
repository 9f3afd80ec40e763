"""Real-time analytics on the same samples that choose the routes: flows, thresholds, events and metrics.

    values, sample      one sampled packet or request as flow keys (headers, http: where they come from)
    plain, portion      the short way for most packets; samples by the column;  intake: datagrams -> portions
    routes              the keys that the table gives, asked for in batches
    language            how keys and filters are written -> terms;  patterns: expressions that can not hang
    functions, compiler terms -> functions of samples
    definitions         what users define, checked;  groups: prefixes by name
    cache, flows        definitions at work: moving averages in bounded memory
    counters, metrics   counter records -> metrics by agent and data source
    thresholds, journal events that readers follow
    registry            what is defined, and its limits;  memory: definitions survive a restart
    service             the thread and the queue
    queries             what REST answers

Nothing here may slow the choice of routes: see `service` for how that is kept.
"""

from arm.analytics.definitions import DefinitionError
from arm.analytics.language import LanguageError
from arm.analytics.registry import Limit
from arm.analytics.service import Analytics

__all__ = ["Analytics", "DefinitionError", "LanguageError", "Limit"]
