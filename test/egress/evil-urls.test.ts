import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EgressVerdict } from '../../src/egress/guard.ts';
import { buildTelos, ended, startTelos } from '../support/telos-program.ts';
import { House } from './house.ts';

const lines = readFileSync(new URL('./evil-urls.txt', import.meta.url), 'utf8').split('\n');
const urls = lines
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => (line.startsWith('"') ? (JSON.parse(line) as string) : line));

/** Names that the tests' own DNS server knows, by the address that they spell: `10-0-0-1`, `6-fd00--1`. */
const knownNames = [
  ...new Set(urls.flatMap((url) => /^https:\/\/([\d-]+[\da-f-]*)\.rebind\./.exec(url)?.[1] ?? [])),
];
const addressOf = (label: string): string =>
  label.startsWith('6-') ? label.slice(2).replaceAll('-', ':') : label.replaceAll('-', '.');
const suffix = '.rebind.example';

let house: House;

beforeEach(() => {
  house = new House();
});
afterEach(() => house.close());

test('telos egress check refuses every evil URL, and only names that may be asked about are asked about', async () => {
  const dns = await house.dns();
  for (const label of knownNames)
    dns.answer(label.startsWith('6-') ? 'AAAA' : 'A', `${label}${suffix}`, [addressOf(label)]);
  const child = startTelos(await buildTelos(), [
    'egress',
    'check',
    '--dns-server',
    dns.address,
    '-o',
    'json',
    '--',
    ...urls,
  ]);
  const { exitCode, stdout, stderr } = await ended(child);
  expect(stderr).toBe('');
  expect(exitCode).toBe(1);
  const verdicts = JSON.parse(stdout) as EgressVerdict[];
  expect(verdicts.map(({ url }) => url)).toEqual(urls);
  expect(verdicts.filter(({ verdict }) => verdict !== 'refused')).toEqual([]);
  for (const { reason } of verdicts) expect(reason).toMatch(/^[^\n]+$/);
  const asked = new Set(dns.questions.map((question) => question.slice(question.indexOf(' ') + 1)));
  expect([...asked].sort()).toEqual(
    [...knownNames.map((label) => `${label}${suffix}`), 'nowhere.example.com'].sort(),
  );
});

test('a POST to every evil URL opens no socket', async () => {
  const dns = await house.dns();
  for (const label of knownNames)
    dns.answer(label.startsWith('6-') ? 'AAAA' : 'A', `${label}${suffix}`, [addressOf(label)]);
  const { post, dials } = house.door({ allow: [], dnsServers: [dns.address] });
  expect(urls.length).toBeGreaterThan(200);
  for (const url of urls) {
    const outcome = await post(url);
    expect(outcome.kind === 'refused' || (outcome.kind === 'failed' && outcome.reason === 'DNS'), url).toBe(
      true,
    );
  }
  expect(dials).toEqual([]);
});
