import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import type { HookWebhook } from '../../src/api/hook.ts';
import type { Secret } from '../../src/api/secret.ts';
import { TemplateCache } from '../../src/report/formats/template.ts';
import { redact } from '../../src/report/redact.ts';
import { type Preparation, prepareRequest } from '../../src/report/request.ts';
import type { HookSecrets } from '../../src/report/secrets.ts';
import { signMessage } from '../../src/report/sign.ts';
import { secretOf } from './fixtures.ts';

const id = `msg_${'a'.repeat(26)}`;
const nowMs = Date.parse('2026-01-02T03:04:05.999Z');
const payload = {
  task: 'fix-7',
  namespace: 'default',
  phase: 'Failed',
  completionTime: '2026-01-02T03:04:05Z',
} as const;

function prepare(
  webhook: z.infer<typeof HookWebhook>,
  secrets: readonly Secret[] = [],
  hookSecrets: HookSecrets = 'any',
): Promise<Preparation> {
  const source = {
    read: async (_: string, name: string) => secrets.find((each) => each.metadata.name === name),
  };
  return prepareRequest(
    { id, namespace: 'default', hook: { name: 'oncall', webhook }, payload },
    { number: 3, nowMs },
    { hookSecrets, version: '1.2.3' },
    { secrets: source, templates: new TemplateCache() },
  );
}

async function refusal(...args: Parameters<typeof prepare>): Promise<string> {
  const preparation = await prepare(...args);
  if (preparation.kind === 'ready' || preparation.verdict.kind === 'delivered') return 'ready';
  const { kind, reason, message } = preparation.verdict;
  return `${kind} ${reason}: ${message}`;
}

const url = 'https://hooks.example.com/x';
const withSecret = { url, secretRef: { name: 'headers' } };

describe('a request', () => {
  it('has the headers of the contract and those of the Secret', async () => {
    const secret = secretOf({ Authorization: 'Bearer abc', 'Content-Type': 'application/vnd.me+json' });
    const preparation = await prepare(withSecret, [secret]);
    expect(preparation).toEqual({
      kind: 'ready',
      prepared: {
        request: {
          url,
          headers: {
            'user-agent': 'telos/1.2.3',
            'accept-encoding': 'identity',
            'content-type': 'application/vnd.me+json',
            authorization: 'Bearer abc',
            'webhook-id': id,
            'webhook-timestamp': '1767323045',
            'telos-attempt': '3',
          },
          body: '{"task":"fix-7","namespace":"default","phase":"Failed","completionTime":"2026-01-02T03:04:05Z"}',
          timeoutMs: 10_000,
        },
        secretValues: ['Bearer abc', 'application/vnd.me+json'],
        secretHeaders: ['authorization', 'content-type'],
        urlVersion: undefined,
      },
    });
  });

  it('takes its URL from a Secret, and its timeout from the hook', async () => {
    const urlFrom = { secretKeyRef: { name: 'chat', key: 'url' } };
    const chat = secretOf({ url: 'https://chat.example/T1/xyz\n' }, { metadata: { name: 'chat' } });
    expect(await prepare({ urlFrom, timeoutSeconds: 3 }, [chat])).toMatchObject({
      prepared: {
        request: { url: 'https://chat.example/T1/xyz', timeoutMs: 3_000 },
        urlVersion: `${chat.metadata.uid}.${chat.metadata.resourceVersion}`,
        secretValues: expect.arrayContaining(['/T1/xyz']),
      },
    });
  });

  it('carries CloudEvents attributes as headers', async () => {
    expect(await prepare({ url, format: 'cloudevents' })).toMatchObject({
      prepared: {
        request: {
          headers: {
            'ce-specversion': '1.0',
            'ce-id': id,
            'ce-source': '/apis/kelos.dev/namespaces/default/tasks/fix-7',
            'ce-type': 'dev.kelos.task.failed',
            'ce-time': '2026-01-02T03:04:05Z',
            'ce-subject': 'fix-7',
            'content-type': 'application/json',
          },
        },
      },
    });
  });

  it.each(['slack', 'teams', 'discord', 'pagerduty'] as const)(
    'refuses format %s in one clear line',
    async (format) => {
      expect(await refusal({ url, format })).toMatch(
        /^failed InvalidHook: webhook\.format: .* is not built yet/,
      );
    },
  );
});

describe('Secrets', () => {
  it('that are missing, or whose key is, are waited for', async () => {
    expect(await refusal(withSecret)).toMatch(
      /^retry SecretNotFound: there is no Secret headers in namespace default/,
    );
    const urlFrom = { secretKeyRef: { name: 'headers', key: 'url' } };
    expect(await refusal({ urlFrom }, [secretOf({ other: 'x' })])).toMatch(
      /^retry SecretNotFound: .*no key url/,
    );
  });

  it.each([
    'host',
    'Content-Length',
    'Transfer-Encoding',
    'connection',
    'TE',
    'trailer',
    'Upgrade',
    'keep-alive',
    'expect',
    'Proxy-Authorization',
    'webhook-id',
    'Telos-Attempt',
  ])('may not set header %s', async (name) => {
    expect(await refusal(withSecret, [secretOf({ [name]: 'v4lue' })])).toMatch(/^retry InvalidHeader: key /);
  });

  it.each(['user-agent', 'User-Agent', 'accept-encoding', 'ce-type', 'CE-ID'])(
    'may not replace header %s, which is ours',
    async (name) => {
      const webhook = { ...withSecret, format: 'cloudevents' } as const;
      expect(await refusal(webhook, [secretOf({ [name]: 'v4lue' })])).toMatch(
        /^retry InvalidHeader: key .* names a header that Telos sets itself; remove it$/,
      );
    },
  );

  it.each(['a\r\nb', 'a\nb', 'a\0b', 'snow ☃', 'bell \x07'])('may not hold %j', async (value) => {
    const message = await refusal(withSecret, [secretOf({ 'x-a': value })]);
    expect(message).toMatch(/^retry InvalidHeader: key x-a of Secret headers/);
    expect(message).not.toContain(value);
  });

  it('with a line break at the end are refused with the way to write them', async () => {
    expect(await refusal(withSecret, [secretOf({ 'x-a': 'abc\n' })])).toContain('printf, not echo');
  });

  it('may not hold one header twice', async () => {
    expect(await refusal(withSecret, [secretOf({ 'x-a': '1', 'X-A': '2' })])).toContain('twice');
  });

  it.each(['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token', 'helm.sh/release.v1'])(
    'of type %s are never sent',
    async (type) => {
      expect(await refusal(withSecret, [secretOf({ token: 'x' }, { type })])).toMatch(
        /^retry SecretNotAllowed: /,
      );
    },
  );

  it('labelled only: sends what is labelled, and says how to label', async () => {
    const labelled = secretOf({ 'x-a': '1' }, { metadata: { labels: { 'telos.dev/hook-secret': 'true' } } });
    expect(await refusal(withSecret, [labelled], 'labelled')).toBe('ready');
    expect(await refusal(withSecret, [secretOf({ 'x-a': '1' })], 'labelled')).toContain(
      'kubectl label secret headers -n default --overwrite telos.dev/hook-secret=true',
    );
  });

  it.each([
    ['https://hooks.example.com', true],
    ['https://hooks.example.com/', true],
    ['https://HOOKS.example.com:443', true],
    ['https://other.example https://hooks.example.com', true],
    ['*.example.com', true],
    ['https://*.example.com', true],
    ['', false],
    ['https://hooks.example.com:8443', false],
    ['*.hooks.example.com', false],
    ['*ample.com', false],
    ['*.com.evil', false],
    ['https://hooks.example.com.evil', false],
    ['http://hooks.example.com', false],
  ])('with hook-origins %j may go there: %s', async (origins, allowed) => {
    const secret = secretOf(
      { 'x-a': '1' },
      { metadata: { annotations: { 'telos.dev/hook-origins': origins } } },
    );
    const message = await refusal(withSecret, [secret]);
    if (allowed) expect(message).toBe('ready');
    else
      expect(message).toMatch(
        /kubectl annotate secret headers -n default --overwrite 'telos.dev\/hook-origins=.*https:\/\/hooks.example.com'/,
      );
  });

  it('give a command that a shell takes as it is meant, whatever their annotation holds', async () => {
    const origins = "https://a.example'; touch /tmp/x; echo '\n$(id) `id`";
    const secret = secretOf(
      { 'x-a': '1' },
      { metadata: { annotations: { 'telos.dev/hook-origins': origins } } },
    );
    const command = /allow it: kubectl (.*) \(or/.exec(await refusal(withSecret, [secret]))?.[1] ?? '';
    const words = execFileSync('sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' }).split('\n');
    expect(words).toEqual([
      'annotate',
      'secret',
      'headers',
      '-n',
      'default',
      '--overwrite',
      "telos.dev/hook-origins=https://a.example'; touch /tmp/x; echo ' $(id) `id` https://hooks.example.com",
      '',
    ]);
    const long = secretOf(
      { 'x-a': '1' },
      { metadata: { annotations: { 'telos.dev/hook-origins': 'https://a.example '.repeat(100) } } },
    );
    expect(await refusal(withSecret, [long])).not.toContain('kubectl');
  });

  it('obey their origins for the URL and the signing key too', async () => {
    const bound = { metadata: { annotations: { 'telos.dev/hook-origins': 'https://a.example' } } };
    const urlFrom = { secretKeyRef: { name: 'headers', key: 'url' } };
    expect(await refusal({ urlFrom }, [secretOf({ url: 'https://b.example/' }, bound)])).toMatch(
      /^retry SecretNotAllowed/,
    );
    const signing = { secretRef: { name: 'headers', key: 'key' } };
    expect(await refusal({ url, signing }, [secretOf({ key: 'whsec_YWJj' }, bound)])).toMatch(
      /^retry SecretNotAllowed/,
    );
  });
});

describe('the signature', () => {
  const signing = { secretRef: { name: 'headers', key: 'key' } };
  const key = (text: string): string => `whsec_${Buffer.from(text).toString('base64')}`;

  it('is what the reference implementation makes, for any message', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        fc.string({ unit: 'grapheme' }),
        (bytes, body) => {
          const secret = Buffer.from(bytes).toString('base64');
          const timestamp = 1_767_323_045;
          const reference = new Webhook(secret).sign(id, new Date(timestamp * 1000), body);
          expect(signMessage(`whsec_${secret}`, { id, timestamp, body })).toBe(reference);
        },
      ),
    );
  });

  it('is accepted by the reference implementation under each key of a rotation', async () => {
    const [before, after] = [key('the key of last year'), key('the key of this year')];
    const preparation = await prepare({ url, signing }, [secretOf({ key: ` ${after}\n${before}\n` })]);
    if (preparation.kind !== 'ready') throw new Error(preparation.verdict.kind);
    const { headers, body } = preparation.prepared.request;
    expect(headers['webhook-signature']?.split(' ')).toHaveLength(2);
    // The reference checks the age of the message against its own clock, so here only the signature is compared.
    for (const [index, live] of [after, before].entries())
      expect(headers['webhook-signature']?.split(' ')[index]).toBe(
        new Webhook(live).sign(id, new Date(Number(headers['webhook-timestamp']) * 1000), String(body)),
      );
  });

  it.each(['', 'abc', 'whsec_', 'whsec_!!', 'whsec_YWJj nonsense'])('is not made with %j', async (text) => {
    const message = await refusal({ url, signing }, [secretOf({ key: text })]);
    expect(message).toMatch(/^retry SecretNotFound: /);
    expect(message).not.toContain('nonsense');
  });
});

describe('what is kept of an answer', () => {
  it('holds no secret that a receiver echoes, plain, in JSON, or without its scheme', () => {
    const values = ['Bearer s3cr3t-t0ken', 'pass"word'];
    const echoed = 'got Bearer s3cr3t-t0ken, s3cr3t-t0ken, {"p":"pass\\"word"} and pass"word';
    const kept = redact(echoed, values);
    expect(kept).not.toMatch(/s3cr3t|word/);
    expect(kept).toContain('got Bearer ***');
  });
});
