"""How units that are due reach a slot.

Postgres says which units are due. A dispatcher marks them as rung and puts a message for each into Redis
(`ring`). A worker with a free slot takes a message off (`pull`), and its slot claims the fairest unit. That
need not be the one of the message. A worker that hears of new units has a free slot claim one at once, before
it rings. Messages carry no state: one that is lost is sent again after a while.
While Redis takes no messages, each free slot looks for work itself.
"""
