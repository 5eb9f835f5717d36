// Somebody who tries JupyterHub in a real browser: signs in, runs a notebook, stops the server.

import assert from 'node:assert/strict';

import { chromium } from 'playwright-core';

// Nothing goes anywhere but to the demo.
const FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
];
// A laden machine may be slow; what does not come at all is the failure.
const PATIENCE = 180_000;

/** Starts the browser. */
export function browser(executablePath) {
  // Chromium's sandbox refuses root.
  const args = process.getuid() === 0 ? [...FLAGS, '--no-sandbox'] : FLAGS;
  return chromium.launch({ executablePath, args });
}

/** A person with a window of 1280 × 800. */
export class Visitor {
  /**
   * @param {import('playwright-core').Browser} browser
   * @param {string} address the demo's, without a slash at the end
   * @param {string} name user name
   */
  static async arrives(browser, address, name) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en' });
    context.setDefaultTimeout(PATIENCE);
    return new Visitor(context, await context.newPage(), address, name);
  }

  constructor(context, page, address, name) {
    Object.assign(this, { context, page, address, name });
    /** Requests to anybody but the demo. */
    this.elsewhere = [];
    page.on('request', (request) => {
      const url = request.url();
      if (/^(https?|wss?):/.test(url) && !url.startsWith(`${address}/`)) this.elsewhere.push(url);
    });
  }

  /** Opens the demo's address and gives what the login page says. */
  async readsLoginPage() {
    await this.page.goto(`${this.address}/`);
    await this.page.getByRole('button', { name: 'Sign in' }).waitFor();
    return this.page.locator('body').innerText();
  }

  /** Signs in; JupyterHub starts the server and leads to JupyterLab. */
  async signsIn() {
    await this.page.getByLabel('Username').fill(this.name);
    await this.page.getByLabel('Password').fill('any');
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.page.waitForURL(`${this.address}/user/${this.name}/lab**`);
  }

  /** Makes a notebook from JupyterLab's launcher. */
  async makesNotebook() {
    await this.page.locator('.jp-LauncherCard[data-category="Notebook"]').first().click();
    await this.page.locator('.jp-Notebook .jp-CodeCell .cm-content').first().waitFor();
    // What is run before the kernel answers can get lost.
    await this.page.getByText('Python 3 (ipykernel) | Idle').waitFor();
  }

  /**
   * Runs the notebook's last cell, which is empty, with `code`, and gives what it prints or results in.
   *
   * @param {string} code
   */
  async runs(code) {
    const cells = this.page.locator('.jp-Notebook .jp-CodeCell');
    const before = await cells.count();
    const cell = cells.nth(before - 1);
    await cell.locator('.cm-content').click();
    // At once: typed key by key, the editor would help.
    await this.page.keyboard.insertText(code);
    await cell.locator('.cm-content', { hasText: code.split('\n')[0] }).waitFor();
    await this.page.keyboard.press('Shift+Enter');
    const output = cell.locator('.jp-OutputArea-output');
    await output.first().waitFor();
    await cells.nth(before).waitFor();
    return (await output.allInnerTexts()).join('\n').trim();
  }

  /** Goes to the hub's own page and stops the server. */
  async stopsServer() {
    await this.page.goto(`${this.address}/hub/home`);
    await this.page.locator('#stop').click();
    await this.page.locator('#stop').waitFor({ state: 'hidden' });
    await this.page.locator('#start', { hasText: 'Start My Server' }).waitFor();
  }

  /** Closes the window; nothing was asked of anybody but the demo. */
  async leaves() {
    await this.context.close();
    assert.deepEqual(this.elsewhere, [], 'requests that left the demo');
  }
}
