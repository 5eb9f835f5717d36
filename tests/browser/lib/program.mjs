// Runs `perijove` as a person at a terminal does: reads what it says, presses Ctrl-C.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const here = import.meta.dirname;

/** The repository's root folder. */
export const repository = resolve(here, '../../..');

/** The binary under test: `PERIJOVE`, else the debug build. */
export const binary = resolve(process.env.PERIJOVE ?? resolve(repository, 'target/debug/perijove'));

/** One run of the program. */
export class Program {
  /**
   * Starts `perijove` with `args` in the folder `cwd`. It leads a process group of its own, as under a shell.
   *
   * @param {string[]} args
   * @param {string} cwd
   */
  constructor(args, cwd) {
    if (!existsSync(binary)) throw new Error(`${binary} is not there: build it, or name it in PERIJOVE`);
    // Nothing of the caller's settings may choose for the run.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PERIJOVE')));
    /** Standard output so far. */
    this.stdout = '';
    /** Standard error so far. */
    this.stderr = '';
    this.child = spawn(binary, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const name of ['stdout', 'stderr']) {
      this.child[name].setEncoding('utf8').on('data', (text) => (this[name] += text));
    }
    this.ended = new Promise((done, failed) => {
      this.child.on('error', failed);
      this.child.on('close', (code, signal) => done(code ?? signal));
    });
    // Who awaits it hears of it; until then it is no unhandled rejection.
    this.ended.catch(() => {});
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** All it said, for messages. */
  get said() {
    return `${this.stdout}${this.stderr}`;
  }

  /**
   * Waits until standard output has a line with `text`, and gives the line.
   *
   * @param {string} text
   * @param {number} limit seconds
   */
  async says(text, limit) {
    const deadline = Date.now() + limit * 1000;
    for (;;) {
      const running = this.running;
      const line = this.stdout.split('\n').slice(0, -1).find((line) => line.includes(text));
      if (line !== undefined) return line;
      if (!running) throw new Error(`ended before it said "${text}":\n${this.said}`);
      if (Date.now() > deadline) throw new Error(`did not say "${text}" in ${limit} s:\n${this.said}`);
      await sleep(50);
    }
  }

  /**
   * Presses Ctrl-C: a terminal sends it to the whole group. Gives the exit code, or a signal's name.
   *
   * @param {number} limit seconds
   */
  async interrupt(limit) {
    process.kill(-this.pid, 'SIGINT');
    return this.exit(limit);
  }

  /**
   * Waits for the end, and gives the exit code, or a signal's name.
   *
   * @param {number} limit seconds
   */
  async exit(limit) {
    const late = new AbortController();
    const timeout = sleep(limit * 1000, undefined, { signal: late.signal }).then(() => {
      throw new Error(`did not end in ${limit} s:\n${this.said}`);
    });
    timeout.catch(() => {});
    try {
      return await Promise.race([this.ended, timeout]);
    } finally {
      late.abort();
    }
  }

  /** Ends what a failed test leaves running. */
  async kill() {
    if (!this.running) return;
    process.kill(-this.pid, 'SIGTERM');
    await this.exit(30).catch(() => process.kill(-this.pid, 'SIGKILL'));
  }
}
