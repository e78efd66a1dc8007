import { describe, expect, it } from 'vitest';
import type { SendOutcome } from '../../src/egress/guard.ts';
import { judge } from '../../src/report/verdict.ts';

const timings = { durationMs: 1 };
const now = Date.parse('2026-01-02T03:04:05Z');

function answered(status: number, headers: Record<string, string> = {}): SendOutcome {
  return { kind: 'answered', status, headers, body: new Uint8Array(), address: '192.0.2.1:443', timings };
}

function told(outcome: SendOutcome): string {
  const verdict = judge(outcome, now);
  return verdict.kind === 'delivered' ? 'delivered' : `${verdict.kind} ${verdict.reason}`;
}

describe('what an answer means', () => {
  it.each([
    [[200, 201, 202, 204, 299], 'delivered'],
    [[300, 301, 302, 303, 304, 307, 308, 399], 'retry Redirect'],
    [[400, 405, 406, 411, 413, 414, 415, 422, 431, 501, 505], 'failed Rejected'],
    [[401, 402, 403, 404, 407, 408, 409, 412, 418, 421, 423, 425, 451, 499], 'retry HTTPStatus'],
    [[500, 502, 504, 507, 511, 599], 'retry HTTPStatus'],
    [[429], 'retry RateLimited'],
    [[503], 'retry Unavailable'],
    [[410], 'failed Gone'],
  ])('%j is %s', (statuses, verdict) => {
    for (const status of statuses) expect(told(answered(status))).toBe(verdict);
  });

  it('is said for every status there is, and only 2xx delivers', () => {
    const final = new Set([400, 405, 406, 411, 413, 414, 415, 422, 431, 501, 505]);
    const expected = (status: number): string => {
      if (status >= 200 && status < 300) return 'delivered';
      if (status >= 300 && status < 400) return 'retry Redirect';
      if (status === 410) return 'failed Gone';
      if (final.has(status)) return 'failed Rejected';
      if (status === 429) return 'retry RateLimited';
      return status === 503 ? 'retry Unavailable' : 'retry HTTPStatus';
    };
    for (let status = 100; status <= 599; status += 1) {
      expect(`${status} ${told(answered(status))}`).toBe(`${status} ${expected(status)}`);
      // Only these two say when: with others the header is a stranger's.
      const verdict = judge(answered(status, { 'retry-after': '3600' }), now);
      const waits = verdict.kind === 'retry' && verdict.retryAfterMs !== undefined;
      expect(`${status} ${waits}`).toBe(`${status} ${status === 429 || status === 503}`);
      expect(verdict.message).toMatch(new RegExp(`^answered ${status}`));
    }
  });

  it.each(['DNS', 'Connect', 'TLS', 'Reset', 'Timeout', 'Proxy'] as const)('%s is tried again', (reason) => {
    expect(told({ kind: 'failed', reason, message: 'no', timings })).toBe(`retry ${reason}`);
  });

  it('a refusal by the text of the URL is final, one by a DNS answer is not', () => {
    expect(told({ kind: 'refused', stage: 'text', message: 'no', timings })).toBe('failed Blocked');
    expect(told({ kind: 'refused', stage: 'address', message: 'no', timings })).toBe('failed Blocked');
    expect(told({ kind: 'refused', stage: 'dns', message: 'no', timings })).toBe('retry Blocked');
    expect(told({ kind: 'refused', stage: 'header', message: 'no', timings })).toBe('retry InvalidHeader');
  });

  it('429 and 503 pause the origin for as long as they say', () => {
    expect(judge(answered(429, { 'retry-after': '9' }), now)).toMatchObject({
      pausesOrigin: true,
      retryAfterMs: 9000,
    });
    expect(judge(answered(503), now)).toMatchObject({ pausesOrigin: true, retryAfterMs: undefined });
  });

  it('counts against the origin only what is its own trouble', () => {
    const health = (outcome: SendOutcome): string => judge(outcome, now).health;
    for (const reason of ['Connect', 'TLS', 'Reset', 'Timeout'] as const)
      expect(health({ kind: 'failed', reason, message: '', timings })).toBe('sick');
    for (const reason of ['DNS', 'Proxy'] as const)
      expect(health({ kind: 'failed', reason, message: '', timings })).toBe('unknown');
    for (const status of [500, 502, 503, 504]) expect(health(answered(status))).toBe('sick');
    for (const status of [200, 302, 400, 401, 404, 410, 429]) expect(health(answered(status))).toBe('well');
    expect(health({ kind: 'refused', stage: 'dns', message: '', timings })).toBe('unknown');
  });
});
