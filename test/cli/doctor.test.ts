import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import { decode, encode, type Packet } from 'dns-packet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeSandbox, type Sandbox } from './sandbox.ts';

let sandbox: Sandbox;
let nameServer: { readonly address: string; close(): Promise<void> };
beforeEach(async () => {
  sandbox = await makeSandbox();
  nameServer = await startNameServer();
});
afterEach(async () => {
  await nameServer.close();
  await sandbox.close();
});

/** A name server that knows no name, but says so. */
async function startNameServer(): Promise<typeof nameServer> {
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    const { id, questions } = decode(message);
    const answer: Packet = { type: 'response', id: id ?? 0, flags: 3, questions: questions ?? [] };
    socket.send(encode(answer), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    close: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

describe('doctor', () => {
  test('has a line for each thing, and exits with 0 when what is needed is there', async () => {
    await chmod(await sandbox.file('claude', '#!/bin/sh\n'), 0o755);
    const { exitCode, stdout, stderr } = await sandbox.telos(['doctor', '--dns-server', nameServer.address], {
      env: { PATH: `/nonexistent:${sandbox.folder}` },
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^ok +store: sqlite:/m);
    expect(stdout).toMatch(/^ok +dns: 127\.0\.0\.1:\d+ answers$/m);
    expect(stdout).toMatch(/^ok +clock: /m);
    expect(stdout).toContain(`claude: ${sandbox.folder}/claude\n`);
    expect(stdout).toMatch(/^warn +codex: not on PATH, needed for type codex: npm install /m);
  });

  test('exits with 1 when something fails, and says how to mend it', async () => {
    const { exitCode, stdout } = await sandbox.telos([
      'doctor',
      '--dns-server',
      nameServer.address,
      '--store',
      `sqlite:${sandbox.folder}`,
    ]);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^fail +store: .+$/m);
  });

  test('refuses a server that is none', async () => {
    const result = await sandbox.telos(['doctor', '--dns-server', 'example']);
    expect(result).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: 'error: not the address of a server: --dns-server example: write IP or IP:PORT\n',
    });
  });
});
