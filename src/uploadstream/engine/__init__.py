"""The acts: asyncio over the ports, asking the core and deciding nothing itself."""
