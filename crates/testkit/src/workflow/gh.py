#!/usr/bin/env python3
"""GitHub's `gh`, as far as the pipelines use it: pull requests and comments in a JSON file, releases in a list, branches of
a bare repository.

A token names its job's permissions, and nothing is done without the one that GitHub asks for.
"""
import json, os, re, subprocess, sys

STATE, BARE = os.environ["FAKE_GITHUB"] + "/pulls.json", os.environ["FAKE_GITHUB"] + "/origin.git"
RELEASES = os.environ["FAKE_GITHUB"] + "/releases"
TOKEN = os.environ.get("GH_TOKEN") or sys.exit("gh: set GH_TOKEN")
words, options = [], {}
arguments = iter(sys.argv[1:])
for word in arguments:
    if word in ("--paginate", "--silent", "--verify-tag", "--generate-notes"):
        options[word] = True
    elif word.startswith("-"):
        options[word] = next(arguments)
    else:
        words.append(word)
pulls = json.load(open(STATE)) if os.path.exists(STATE) else []


def released():
    return open(RELEASES).read().split() if os.path.exists(RELEASES) else []


def allow(permission):
    if permission not in TOKEN.split(",") and permission.replace("read", "write") not in TOKEN.split(","):
        sys.exit(f"gh: HTTP 403: Resource not accessible by integration: {permission}")


def answer(value):
    if "--jq" in options:
        subprocess.run(["jq", "--raw-output", options["--jq"]], input=json.dumps(value), text=True, check=True)
    elif "--silent" not in options:
        print(json.dumps(value))


def find(number):
    return next(p for p in pulls if p["number"] == int(number))


def body():
    field, _, path = options["-F"].partition("=@")
    assert field == "body", field
    return open(path).read()


if words[0] == "api":
    path = words[1].removeprefix("repos/" + os.environ["GITHUB_REPOSITORY"])
    method = options.get("--method", "GET")
    if path == "/branches":
        allow("contents=read")
        names = subprocess.check_output(["git", "-C", BARE, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"])
        answer([{"name": name} for name in names.decode().split()])
    elif found := re.fullmatch(r"/issues/(\d+)/comments", path):
        comments = find(found[1])["comments"]
        if method == "POST":
            allow("pull-requests=write")
            comments.append({"id": 1000 * int(found[1]) + len(comments), "user": {"login": "github-actions[bot]"}, "body": body()})
        else:
            assert method == "GET", method
            allow("pull-requests=read")
            answer(comments)
    elif (found := re.fullmatch(r"/issues/comments/(\d+)", path)) and method == "PATCH":
        allow("pull-requests=write")
        next(c for p in pulls for c in p["comments"] if c["id"] == int(found[1]))["body"] = body()
    else:
        sys.exit(f"gh: {method} {path} is unknown")
elif words[:2] == ["release", "view"]:
    allow("contents=read")
    if words[2] not in released():
        sys.exit("release not found")
elif words[:2] == ["release", "create"]:
    allow("contents=write")
    if words[2] in released():
        sys.exit("a release with the same tag name already exists: " + words[2])
    subprocess.run(["git", "-C", BARE, "rev-parse", "--quiet", "--verify", "refs/tags/" + words[2]], check=True)
    assert all(os.path.isfile(path) for path in words[3:]), words
    with open(RELEASES, "a") as file:
        print(words[2], file=file)
elif words[:2] == ["pr", "list"]:
    allow("pull-requests=read")
    assert options["--json"] == "number"
    same = lambda p: all(p[k] == options["--" + k] for k in ("base", "head", "state"))
    answer([{"number": p["number"]} for p in pulls if same(p)])
elif words[:2] == ["pr", "create"]:
    allow("pull-requests=write")
    pull = {"number": len(pulls) + 1, "state": "open", "comments": [], "body": open(options["--body-file"]).read()}
    pulls.append(pull | {k: options["--" + k] for k in ("base", "head", "title")})
elif words[:2] == ["pr", "edit"]:
    allow("pull-requests=write")
    find(words[2])["body"] = open(options["--body-file"]).read()
elif words[:2] == ["pr", "close"]:
    allow("pull-requests=write")
    find(words[2])["state"] = "closed"
else:
    sys.exit(f"gh: {' '.join(words)} is unknown")
with open(STATE + ".new", "w") as file:
    json.dump(pulls, file, indent=1)
os.rename(STATE + ".new", STATE)
