"""A worker over plain HTTP, with the standard library alone: http_worker.py http://127.0.0.1:7878 KIND"""
import http.client
import json
import sys
import threading
import urllib.request
SERVER, KIND = sys.argv[1], sys.argv[2]
AWAY = (OSError, http.client.HTTPException)  # no answer, half of one, or a problem, which has a code
held, stopped, done = {}, set(), threading.Event()  # tokens by job; jobs that shall stop; an event that never comes
me = {"session": None, "beat_s": 0.2}


def ask(path, body, token=None):
    headers = {"Content-Type": "application/json", **({"Lease-Token": token} if token else {})}
    request = urllib.request.Request(SERVER + path, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=70) as answer:
        return json.loads(answer.read() or "null")


def beat():
    while not done.wait(me["beat_s"]):
        try:
            if not me["session"]:
                me.update(ask("/api/workers", {"name": "python", "kinds": [KIND], "concurrency": 1}) or {})
            leases = [{"job_id": job, "token": token} for job, token in list(held.items())]
            answer = ask("/api/heartbeat", {"session": me["session"], "leases": leases})  # what is named goes on
            stopped.update(answer["cancel"] + answer["lost"] if answer else [])
        except AWAY as error:
            if getattr(error, "code", 0) == 404:  # a new server, or away for too long: register, and name the leases
                me["session"] = None


def insist(call, job, token, **fields):  # made again, a call gets the answer that it missed
    while True:
        try:
            return ask(f"/api/jobs/{job['id']}/{call}", fields, token)
        except AWAY as error:
            if getattr(error, "code", 503) < 500:
                return stopped.add(job["id"])  # 409 lease_lost: somebody else has the job now
            done.wait(1)


def run(job, token):
    held[job["id"]] = token
    stopped.discard(job["id"])  # it may have been here before
    for step in range(1, 5):
        if job["id"] not in stopped:
            insist("progress", job, token, done=step, total=4)
    insist("release", job, token) if job["id"] in stopped else insist("complete", job, token, result={"echo": job["args"]})
    held.pop(job["id"])

threading.Thread(target=beat, daemon=True).start()
while True:
    try:
        claimed = ask("/api/claim", {"session": me["session"], "wait_s": 50})
    except AWAY:
        claimed = done.wait(0.2)  # away, or it does not know us: the next beat registers
    for frame in claimed["jobs"] if claimed else []:
        run(frame["job"], frame["lease"]["token"])
