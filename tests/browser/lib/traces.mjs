// What a run has on this machine: processes, namespaces, mounts, cgroups. Asked of /proc while it runs, so
// that what stays after its end is found even when nobody is its parent any more.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

const NAMESPACES = ['mnt', 'net', 'pid', 'user'];

/** Everything that was seen of a run. */
export class Traces {
  /** @param {number} pid the run's first process */
  constructor(pid) {
    this.pid = pid;
    this.mountsBefore = new Set(mounts());
    this.own = new Set(namespaces('self'));
    /** Processes seen: pid and start time → command line. */
    this.seen = new Map();
    /** Namespaces seen that are not this test's own. */
    this.inside = new Set();
  }

  /** Looks at the processes that are there now, and gives the command lines of the run's own. */
  look() {
    const all = processes();
    const children = groupBy(all, (p) => p.parent);
    const commands = [];
    const open = all.filter((p) => p.pid === this.pid);
    for (let process = open.pop(); process; process = open.pop()) {
      this.seen.set(process.key, process.command);
      commands.push(process.command);
      for (const namespace of namespaces(process.pid)) {
        if (!this.own.has(namespace)) this.inside.add(namespace);
      }
      open.push(...(children.get(process.pid) ?? []));
    }
    return commands;
  }

  /** What is left of the run, a line each: empty after a clean end. */
  left() {
    const alive = processes().filter((p) => p.state !== 'Z');
    return [
      ...alive
        .filter((p) => this.seen.has(p.key) || namespaces(p.pid).some((n) => this.inside.has(n)))
        .map((p) => `process ${p.pid}: ${p.command}`),
      ...mounts()
        .filter((line) => line.includes('perijove') && !this.mountsBefore.has(line))
        .map((line) => `mount ${line}`),
      ...folders('/sys/fs/cgroup', `perijove-${this.pid}-`).map((folder) => `cgroup ${folder}`),
    ];
  }
}

/** A port of 127.0.0.1 that is free now. */
export async function freePort() {
  const server = await listen(0);
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/**
 * Listens on a port of 127.0.0.1; fails with EADDRINUSE when somebody does.
 *
 * @param {number} port
 */
export function listen(port) {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed).listen(port, '127.0.0.1', () => done(server));
  });
}

function groupBy(list, key) {
  const groups = new Map();
  for (const item of list) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

/** All processes: proc_pid_stat(5), proc_pid_cmdline(5). Those that end meanwhile are left out. */
function processes() {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      // The name, in brackets, may hold spaces and brackets.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const [state, parent, started] = [fields[0], Number(fields[1]), fields[19]];
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return [{ pid: Number(name), key: `${name} ${started}`, state, parent, command }];
    } catch {
      return [];
    }
  });
}

/** Namespaces of a process; empty when it ended or is somebody else's. */
function namespaces(pid) {
  return NAMESPACES.flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/ns/${name}`)];
    } catch {
      return [];
    }
  });
}

function mounts() {
  return readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
}

/** Folders below `root` whose names begin with `prefix`. */
function folders(root, prefix) {
  let entries;
  try {
    entries = readdirSync(root, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const path = join(root, entry.name);
      return [...(entry.name.startsWith(prefix) ? [path] : []), ...folders(path, prefix)];
    });
}
