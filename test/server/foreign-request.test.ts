import { describe, expect, it } from 'vitest';
import { foreignRequest } from '../../src/server/foreign-request.ts';

const local = { loopback: true, checkHost: true };
const request = (headers: Record<string, string>) => ({
  url: 'http://127.0.0.1:8484/metrics',
  headers: new Headers(headers),
});

describe('a request from a web page', () => {
  it.each(['127.0.0.1:8484', 'localhost:8484', 'localhost', '[::1]:8484', '10.0.0.7:8484'])(
    'is not what a tool sends to %s',
    (host) => {
      expect(foreignRequest(request({ host }), local)).toBeUndefined();
    },
  );

  it('is refused when its Host is a name that was rebound to loopback', () => {
    expect(foreignRequest(request({ host: 'evil.example:8484' }), local)).toMatch(/Host is refused/);
  });

  it('is refused when it has no Host', () => {
    expect(foreignRequest(request({}), local)).toMatch(/Host is refused/);
  });

  it('may have any Host where events come through a tunnel', () => {
    const options = { loopback: true, checkHost: false };
    expect(foreignRequest(request({ host: 'hooks.example.com' }), options)).toBeUndefined();
  });

  it('may have any Host where the server is bound beyond loopback', () => {
    const options = { loopback: false, checkHost: true };
    expect(foreignRequest(request({ host: 'telos.ns.svc:8484' }), options)).toBeUndefined();
  });

  it.each([
    'https://evil.example',
    'null',
    'http://127.0.0.2:8484',
    'http://127.0.0.1:3000',
    'https://127.0.0.1:8484',
  ])('is refused with Origin %s', (origin) => {
    const headers = { host: '127.0.0.1:8484', origin };
    expect(foreignRequest(request(headers), { loopback: true, checkHost: false })).toMatch(/web origins/);
  });

  it('is refused when a rebound name sends events to itself', () => {
    const headers = { host: 'evil.example:8484', origin: 'http://evil.example:8484' };
    expect(foreignRequest(request(headers), { loopback: true, checkHost: false })).toMatch(/web origins/);
  });

  it('is let in when the page is our own', () => {
    const headers = { host: '127.0.0.1:8484', origin: 'http://127.0.0.1:8484' };
    expect(foreignRequest(request(headers), local)).toBeUndefined();
  });
});
