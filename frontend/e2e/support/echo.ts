// A kind whose jobs a child process of the server runs, as long as the test wants them to: it waits for a file.

export const ECHO_CONFIG = `
[kinds.echo.run]
mode = "command"
command = ["python3", "echo.py"]
processes = 4
grace_s = 1
`;

/** Goes on when a file \`go\` is beside it, with its args as the result; says every now and then how far it is. */
export const ECHO_FILE = `
import json, os, sys, time
job = json.loads(sys.stdin.readline())["job"]
print(json.dumps({"type": "progress", "percent": 40, "stage": "upscale"}), flush=True)
while not os.path.exists("go"):
    time.sleep(0.02)
print(json.dumps({"echo": job["args"]}), flush=True)
`;
