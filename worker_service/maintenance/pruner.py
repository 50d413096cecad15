"""Forgets what nobody needs any more: partials of finished jobs, workers that are long gone."""

from worker_service.context import Context


async def prune(ctx: Context) -> None:
    await ctx.merging.forget_partials()
    await ctx.workers.forget()
