import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { signatureFault } from '../../src/spawn/signature.ts';

const body = Buffer.from('{"id":1}');
const nowMs = Date.parse('2026-01-02T03:04:05Z');
const standardSecret = `whsec_${Buffer.from('0123456789abcdef01234567').toString('base64')}`;

const check = (
  headers: Record<string, string>,
  secret: string,
  bytes: Uint8Array = body,
): string | undefined => signatureFault({ headers: new Headers(headers), body: bytes, secret, nowMs });

const hub = (secret: string): Record<string, string> => ({
  'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
});

const standard = (atMs: number): Record<string, string> => ({
  'webhook-id': 'msg_1',
  'webhook-timestamp': String(Math.floor(atMs / 1000)),
  'webhook-signature': new Webhook(standardSecret).sign('msg_1', new Date(atMs), body.toString()),
});

describe('a signed event', () => {
  test('is taken with X-Hub-Signature-256 over its raw bytes', () => {
    expect(check(hub('s3cret'), 's3cret')).toBeUndefined();
    expect(check(hub('with spaces in it'), 'with spaces in it')).toBeUndefined();
  });

  test('is taken with the headers of Standard Webhooks', () => {
    expect(check(standard(nowMs), standardSecret)).toBeUndefined();
  });

  test('is taken with any of several secrets, as during rotation', () => {
    expect(check(hub('new'), 'old new\n')).toBeUndefined();
    expect(check(standard(nowMs), `whsec_b2xk\n${standardSecret}`)).toBeUndefined();
  });

  test('is refused when one byte of the body differs', () => {
    expect(check(hub('s3cret'), 's3cret', Buffer.from('{"id":2}'))).toBe('the signature is wrong');
    expect(check(standard(nowMs), standardSecret, Buffer.from('{"id":2}'))).toBe('the signature is wrong');
  });

  test('is refused with another secret, and with an empty one', () => {
    expect(check(hub('other'), 's3cret')).toBe('the signature is wrong');
    expect(check(hub(''), ' \n')).toBe('the secret is empty');
  });

  test('is refused when its timestamp is more than five minutes off, either way', () => {
    expect(check(standard(nowMs - 299_000), standardSecret)).toBeUndefined();
    expect(check(standard(nowMs - 301_000), standardSecret)).toMatch(/5 minutes off/);
    expect(check(standard(nowMs + 301_000), standardSecret)).toMatch(/5 minutes off/);
  });

  test.each([
    [{}],
    [{ 'x-hub-signature-256': '' }],
    [{ 'x-hub-signature-256': 'sha256=' }],
    [{ 'x-hub-signature-256': 'sha256=zz' }],
    [{ 'x-hub-signature-256': `sha1=${'0'.repeat(40)}` }],
    [{ 'webhook-signature': 'v1,' }],
    [{ 'webhook-signature': 'v1,AAAA', 'webhook-id': 'a', 'webhook-timestamp': 'soon' }],
    [{ 'webhook-signature': 'v2,AAAA', 'webhook-id': 'a', 'webhook-timestamp': '1' }],
  ])('with headers %j is refused', (headers) => {
    expect(check(headers as Record<string, string>, 's3cret')).toBeTypeOf('string');
  });

  test('that is refused never gets to see the secret', () => {
    expect(check({ 'x-hub-signature-256': 'sha256=00' }, 'hunter2')).not.toContain('hunter2');
  });
});
