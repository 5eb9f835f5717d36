// `perijove demo` as a newcomer meets it, in real Chromium: from an empty state to a notebook that ran, and
// nothing left behind. Its picture is the README's: PERIJOVE_UPDATE_PICTURE=1 renews docs/demo.png.

import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readdirSync, statSync } from 'node:fs';
import { cp, mkdtemp, mkdir, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Program, repository } from './lib/program.mjs';
import { Traces, freePort, listen } from './lib/traces.mjs';
import { Visitor, browser } from './lib/visitor.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
// Seconds. The first start downloads and builds; none of them is a promise about speed.
const FIRST = 900;
const AGAIN = 300;
const END = 60;

const VERSIONS = `import os, jupyterhub, jupyterlab
print("Server of", os.environ["JUPYTERHUB_USER"])
print("JupyterHub", jupyterhub.__version__)
print("JupyterLab", jupyterlab.__version__)`;

for (const runtime of ['builtin', 'runc']) {
  test(`a newcomer tries the demo with ${runtime}`, { timeout: 30 * 60_000 }, async (t) => {
    if (!existsSync(CHROMIUM)) return missing(t, `no ${CHROMIUM}; CHROMIUM names another place`);
    if (runtime === 'runc' && !onPath('runc')) return missing(t, 'no runc on the PATH');
    const folder = await imageRepository(t);
    const chromium = await browser(CHROMIUM);
    t.after(() => chromium.close());

    await t.test('Ctrl-C while a check runs leaves nothing, and releases nothing', async (t) => {
      const program = new Program(['demo', '--port', String(await freePort()), '--runtime', runtime], folder);
      t.after(() => program.kill());
      const traces = new Traces(program.pid);
      while (!traces.look().some((command) => command.includes('/usr/local/bin/jupyterhub'))) {
        assert.ok(program.running, `ended before a check ran:\n${program.said}`);
        await sleep(20);
      }
      assert.equal(await program.interrupt(END), 0, program.said);
      assert.deepEqual(traces.left(), []);
      assert.doesNotMatch(program.said, /^released|ready/m);
    });

    await t.test('the first start releases, and a new user runs a notebook', async (t) => {
      const demo = await start(t, folder, runtime, FIRST);
      assert.match(demo.program.stderr, /^released perijove\/demo as \d+\.\d+\.\d+-0, .*latest$/m);
      assert.match(demo.program.stderr, new RegExp(`^container runtime: ${runtime}\\b`, 'm'));

      const ada = await Visitor.arrives(chromium, demo.address, 'ada');
      assert.match(await ada.readsLoginPage(), /For trying only/);
      await ada.signsIn();
      await ada.makesNotebook();
      assert.equal(await ada.runs('1+1'), '2');
      assert.match(await ada.runs(VERSIONS), /^Server of ada\nJupyterHub \d+\.\S+\nJupyterLab \d+\.\S+$/);
      if (process.env.PERIJOVE_UPDATE_PICTURE) await picture(ada.page);
      const commands = demo.traces.look();
      for (const name of ['jupyterhub --JupyterHub.bind_url', 'configurable-http-proxy', 'jupyterhub-singleuser', 'ipykernel']) {
        assert.ok(commands.some((c) => c.includes(name)), `${name} is no process of the demo:\n${commands.join('\n')}`);
      }
      await ada.stopsServer();
      await ada.leaves();
      await endsClean(demo);
    });

    await t.test('the second start builds nothing, compiles nothing, and ends clean while a kernel runs', async (t) => {
      const before = bytecode();
      assert.ok(before.size > 500, `${before.size} modules are kept`);
      const demo = await start(t, folder, runtime, AGAIN);
      assert.match(demo.program.stderr, /^nothing changed since the last release$/m);
      assert.doesNotMatch(demo.program.said, /^built |pushed|released/m);
      const after = bytecode();
      for (const [file, time] of before) assert.equal(after.get(file), time, `${file} was compiled again`);
      const again = [...after.keys()].filter((file) => !before.has(file));
      assert.deepEqual(again, [], 'modules of the hub were not kept by the first start');

      const grace = await Visitor.arrives(chromium, demo.address, 'grace');
      await grace.readsLoginPage();
      await grace.signsIn();
      await grace.makesNotebook();
      assert.equal(await grace.runs('1+1'), '2');
      await grace.leaves();
      await endsClean(demo);
    });
  });
}

test('a port that is taken is named, and the flag that chooses another', async (t) => {
  const other = await listen(0);
  t.after(() => other.close());
  const { port } = other.address();
  const program = new Program(['demo', '--port', String(port)], repository);
  t.after(() => program.kill());
  assert.equal(await program.exit(END), 1, program.said);
  assert.match(program.stderr, new RegExp(`port ${port} `));
  assert.match(program.stderr, /--port/);
  assert.equal(program.stdout, '');
});

test('a runtime that does not exist is wrong usage', async (t) => {
  const program = new Program(['demo', '--runtime', 'nonsense'], repository);
  t.after(() => program.kill());
  assert.equal(await program.exit(END), 2, program.said);
  assert.match(program.stderr, /nonsense.*auto, docker, podman, runc or builtin/);
});

/** What the demo's containers compiled and Perijove keeps: file → when it was written. */
function bytecode() {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const root = join(cache, 'perijove/demo/bytecode');
  const kept = readdirSync(root);
  assert.equal(kept.length, 1, `one image's is kept: ${kept}`);
  const files = readdirSync(join(root, kept[0]), { recursive: true, withFileTypes: true });
  const paths = files.filter((file) => file.name.endsWith('.pyc')).map((file) => join(file.parentPath, file.name));
  return new Map(paths.map((path) => [path, statSync(path).mtimeMs]));
}

/** Starts the demo and waits until it is ready. Looks at its processes on the way. */
async function start(t, folder, runtime, limit) {
  const port = await freePort();
  const began = Date.now();
  const program = new Program(['demo', '--port', String(port), '--runtime', runtime], folder);
  t.after(() => program.kill());
  const traces = new Traces(program.pid);
  const line = await program.says('JupyterHub is ready at', limit);
  t.diagnostic(`${runtime}: ready after ${((Date.now() - began) / 1000).toFixed(1)} s`);
  const address = `http://127.0.0.1:${port}`;
  assert.equal(line, `JupyterHub is ready at ${address}`);
  traces.look();
  return { program, traces, port, address };
}

/** Ctrl-C: exit code 0, no process, namespace, mount or cgroup, and the port is free. */
async function endsClean({ program, traces, port }) {
  traces.look();
  assert.equal(await program.interrupt(END), 0, program.said);
  assert.deepEqual(traces.left(), []);
  const server = await listen(port);
  await new Promise((done) => server.close(done));
}

/** A copy of what the demo is made of: its first start is the first whatever was tried here before. */
async function imageRepository(t) {
  const folder = await mkdtemp(join(tmpdir(), 'perijove-browser-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await cp(join(repository, 'perijove.toml'), join(folder, 'perijove.toml'));
  await cp(join(repository, 'images'), join(folder, 'images'), { recursive: true });
  return folder;
}

async function picture(page) {
  await page.getByText('Python 3 (ipykernel) | Idle').waitFor();
  const docs = join(repository, 'docs');
  await mkdir(docs, { recursive: true });
  await page.screenshot({ path: join(docs, 'demo.png'), caret: 'hide' });
}

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

/** Skips by name what this machine cannot run; in CI it has to. */
function missing(t, why) {
  if (process.env.CI === 'true') assert.fail(why);
  const line = `skipped: ${t.name}: ${why}\n`;
  process.stderr.write(line);
  if (process.env.PERIJOVE_SKIPPED) appendFileSync(process.env.PERIJOVE_SKIPPED, line);
  t.skip(why);
}
