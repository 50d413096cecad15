"""Forgets what nobody needs any more: partials of finished jobs, superseded versions, workers that are long gone."""

from datetime import timedelta

from worker_service.context import Context

SUPERSEDED = timedelta(hours=1)
"""Readers that follow a cursor through a version have at least this long."""
UNNAMED = timedelta(days=7)


async def prune(ctx: Context) -> None:
    await ctx.merging.forget_partials()
    await ctx.merging.forget_versions(SUPERSEDED, UNNAMED)
    await ctx.workers.forget()
