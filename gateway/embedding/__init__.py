"""The gateway inside other programs: as a handler of an aiohttp application, or as ASGI."""
