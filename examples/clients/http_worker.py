"""A worker over plain HTTP, with the standard library alone: http_worker.py http://127.0.0.1:7878 KIND"""
import json
import sys
import threading
import urllib.error
import urllib.request

SERVER, KIND = sys.argv[1], sys.argv[2]
held, stopped = {}, set()  # the tokens of the jobs that are worked on, and the jobs that shall stop


def ask(path, body, token=None):
    headers = {"Content-Type": "application/json", **({"Lease-Token": token} if token else {})}
    request = urllib.request.Request(SERVER + path, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=70) as answer:
        return json.loads(answer.read() or "null")


def register():
    return ask("/api/workers", {"name": "python", "kinds": [KIND], "concurrency": 1})


def beat():
    while not done.wait(me["beat_s"]):  # name what is held, so that its leases go on
        leases = [{"job_id": job, "token": token} for job, token in list(held.items())]
        try:
            answer = ask("/api/heartbeat", {"session": me["session"], "leases": leases})
            stopped.update(answer["cancel"] + answer["lost"])
        except urllib.error.HTTPError as error:
            if error.code == 404:  # a new server, or away for too long: the next beat brings the leases along
                me.update(register())
        except OSError:
            pass  # the server is away: the next beat may find it


def run(job, token):
    about = f"/api/jobs/{job['id']}/"
    try:
        for step in range(1, 5):
            if job["id"] in stopped:
                return ask(about + "release", {}, token)
            ask(about + "progress", {"done": step, "total": 4}, token)
        ask(about + "complete", {"result": {"echo": job["args"]}}, token)
    except urllib.error.HTTPError as error:
        print(error.read().decode(), file=sys.stderr)  # 409 lease_lost: somebody else has the job now


me, done = register(), threading.Event()
threading.Thread(target=beat, daemon=True).start()
while True:
    try:
        claimed = ask("/api/claim", {"session": me["session"], "wait_s": 50})
    except OSError:
        done.wait(1)  # away, or it does not know us any more: the next beat registers
        continue
    for frame in claimed["jobs"] if claimed else []:
        held[frame["job"]["id"]] = frame["lease"]["token"]
        run(frame["job"], held[frame["job"]["id"]])
        held.pop(frame["job"]["id"])
