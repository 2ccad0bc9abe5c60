"""A worker over WebSocket, with the package `websockets`: websocket_worker.py ws://127.0.0.1:7878 KIND"""
import asyncio
import json
import sys
import websockets
SERVER, KIND = sys.argv[1], sys.argv[2]
held, tasks, outbox, waiting = {}, {}, [], asyncio.Event()  # tokens and tasks by job; frames that wait to be sent


def say(kind, job, token, **fields):
    outbox.append({"type": kind, "job_id": job, "token": token, **fields})
    waiting.set()


async def run(job, token):
    try:
        for step in range(1, 5):
            say("progress", job["id"], token, done=step, total=4)
            await asyncio.sleep(0)
        say("complete", job["id"], token, result={"echo": job["args"]})
    except asyncio.CancelledError:  # it shall stop, or the lease is lost
        say("release", job["id"], token)


async def speak(socket, hello):
    await socket.send(json.dumps(hello))
    while await waiting.wait():
        while outbox:
            await socket.send(json.dumps(outbox[0]))
            frame = outbox.pop(0)
            if frame["type"] != "progress" and held.get(frame["job_id"]) == frame["token"]:
                del held[frame["job_id"]]  # held until its end is sent: a new connection names it
        waiting.clear()


async def hear(socket, frame):
    if frame["type"] == "job":
        held[frame["job"]["id"]] = frame["lease"]["token"]
        tasks[frame["job"]["id"]] = asyncio.create_task(run(frame["job"], frame["lease"]["token"]))
    elif frame["type"] in ("cancel", "lost") and frame["job_id"] in tasks:
        tasks.pop(frame["job_id"]).cancel()
    elif frame["type"] == "ping":
        await socket.send('{"type": "pong"}')


async def main(session=None):
    async for socket in websockets.connect(SERVER + "/api/worker", subprotocols=["daybook.worker.v1"], max_size=2**25):
        leases = [{"job_id": job, "token": token} for job, token in held.items()]
        hello = {"type": "hello", "kinds": [KIND], "resume": session and {"session": session, "leases": leases}}
        speaking = asyncio.create_task(speak(socket, [hello, {"type": "ready", "slots": 4}]))
        try:
            async for message in socket:  # a frame, or an array of frames
                for frame in json.loads(message) if message[0] == "[" else [json.loads(message)]:
                    session = frame.get("session", session)
                    await hear(socket, frame)
        except websockets.ConnectionClosed:
            pass
        speaking.cancel()  # and `connect` tries again, later each time
asyncio.run(main())
