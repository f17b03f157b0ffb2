"""A plain sinkhole: takes connections, reads what comes first, counts. The count goes to standard
output once a second. The sensor proper is another program; here only arrival matters."""

import asyncio
import json
import sys
import time

READ_TIMEOUT_S = 3


class Sinkhole:
    def __init__(self):
        self.connections = 0

    async def take(self, reader, writer):
        self.connections += 1
        try:
            await asyncio.wait_for(reader.read(512), READ_TIMEOUT_S)
        except (OSError, TimeoutError):
            pass  # scanners connect and say nothing
        writer.close()

    async def run(self, address, port):
        server = await asyncio.start_server(self.take, address, port, backlog=1024)
        async with server:
            print("ready", flush=True)
            while True:
                await asyncio.sleep(1)
                print(json.dumps({"second": int(time.monotonic()), "connections": self.connections}), flush=True)


if __name__ == "__main__":
    asyncio.run(Sinkhole().run(sys.argv[1], int(sys.argv[2])))
