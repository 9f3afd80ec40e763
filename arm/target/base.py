"""What the engine expects of a target, and the contract between the two.

A target is the place where chosen routes go. The engine does not wait for it: a plan is *in flight* from `apply` until
its Applied, and the engine makes further plans meanwhile, as if all changes in flight were made. So both sides must
agree, prefix by prefix, on what stands when all answers are in:

- Order. Changes take effect in the order of the plans and within them; those of one family never overtake each other.
  A plan that concerns two families may be answered after a later one that concerns one.
- Answers. Each plan gets one Applied, unless a TargetDown, or a TargetUp that names all its families in `anew`, comes
  first. After either, nothing is in flight for those families; a later Applied of such a plan means nothing for them.
- Failures. A change that failed leaves what stood there before. A change that depends on a failed one is left out and
  reported as failed as well, also in later plans until one says that the engine knew of the failure: see
  arm/target/failures.py for what depends. The rest of the plan goes on.
- Drift. A target tells it between two plans only, so that its place among the answers says what it follows. What was
  lost counts as a failed change, for plans that do not know of it yet.
- Next hops. NextHopDown and NextHopUp come at any time. For each next hop the latest one says how it is.
- Bounds. A target lets a bounded number of changes wait. When more do (it hangs, or has been slower than the engine for
  long), it says TargetDown, drops what waits and everything that is planned from before, and comes back with TargetUp
  and what is really installed: that is quicker to put right than a long list of old changes, and never wrong.

What stands at a prefix is then: what stood before the oldest plan in flight, then each change in its order if it was
made, then nothing if a Drift said so. The engine keeps these accounts in arm/core/inflight.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from arm.model import Event, Family, Holding, Plan, TargetStatus

Emit = Callable[[Event], None]
"""Hands an event to the engine; any thread may call it, it never blocks."""


class Target(Protocol):
    """Applies plans. All methods return at once; the work is done on the target's own thread, if it needs one."""

    def start(self, emit: Emit) -> None:
        """Begin; TargetUp follows when changes can be taken."""
        ...

    def apply(self, plan: Plan) -> None:
        """Queue a plan, which is in flight from now on."""
        ...

    def resize(self, slots: Mapping[Family, int]) -> None:
        """The configuration gives each family so many slots from now on."""
        ...

    def status(self) -> TargetStatus:
        """A consistent picture for the status page; any thread may ask."""
        ...

    def holding(self) -> Holding | None:
        """What it holds now, asked anew; None if it cannot tell. Any thread may ask, and waits for the answer.

        OSError if it cannot be asked now.
        """
        ...

    def stop(self, *, flush: bool) -> None:
        """End. `flush` takes ARM's routes out first; otherwise they stay for the next start."""
        ...
