import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressFault } from '../../src/egress/address-policy.ts';
import { parseEgressPolicy } from '../../src/egress/policy.ts';
import { judgeUrl } from '../../src/egress/target.ts';

/** First and last address of every refused IPv4 range, as the registries give them. */
const refused4: readonly (readonly [first: string, last: string])[] = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['168.63.129.16', '168.63.129.16'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.31.196.0', '192.31.196.255'],
  ['192.52.193.0', '192.52.193.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['192.175.48.0', '192.175.48.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '239.255.255.255'],
  ['240.0.0.0', '255.255.255.255'],
];

const toNumber = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const bytesOf = (value: number): number[] => [24, 16, 8, 0].map((shift) => (value / 2 ** shift) & 0xff);
const toAddress = (value: number): string => bytesOf(value).join('.');

const numbers = refused4.map(([first, last]) => ({ first: toNumber(first), last: toNumber(last) }));
const isRefused = (value: number): boolean =>
  numbers.some(({ first, last }) => value >= first && value <= last);
const strict = parseEgressPolicy({ allow: [], deny: [] });
const withNat64 = parseEgressPolicy({ allow: [], deny: [], nat64Prefix: '64:ff9b::/96' });

const refusedAddress = fc
  .constantFrom(...numbers)
  .chain(({ first, last }) => fc.integer({ min: first, max: last }));
const globalAddress = fc.integer({ min: 0x01000000, max: 0xdfffffff }).filter((value) => !isRefused(value));
const group = fc.integer({ min: 0, max: 0xffff });

describe('refused IPv4 ranges', () => {
  test.each(refused4)('begin at %s and end at %s', (first, last) => {
    expect(addressFault(first)).toBeDefined();
    expect(addressFault(last)).toBeDefined();
    for (const outside of [toNumber(first) - 1, toNumber(last) + 1]) {
      if (outside < 0 || outside > 0xffffffff || isRefused(outside)) continue;
      expect(addressFault(toAddress(outside)), toAddress(outside)).toBeUndefined();
    }
  });

  test('name the range and what it is for', () => {
    expect(addressFault('169.254.169.254')).toBe('169.254.0.0/16, link-local');
    expect(addressFault('168.63.129.16')).toBe('168.63.129.16/32, cloud host services');
  });
});

describe('IPv6', () => {
  test.each([
    '::',
    '::1',
    '::8.8.8.8',
    '::ffff:8.8.8.8',
    '::ffff:0:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '64:ff9b:1::8.8.8.8',
    '100::1',
    '1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '2001::',
    '2001:0:1::1',
    '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff',
    '2001:db8::',
    '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff',
    '2002::',
    '2002:808:808::1',
    '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '2620:4f:8000::',
    '2620:4f:8000:ffff:ffff:ffff:ffff:ffff',
    '3fff::',
    '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff',
    '4000::',
    '5f00::1',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  ])('%s is refused', (address) => {
    expect(addressFault(address)).toBeDefined();
  });

  test.each([
    '2000::',
    '2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '2001:200::',
    '2001:db7:ffff:ffff:ffff:ffff:ffff:ffff',
    '2001:db9::',
    '2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '2003::',
    '2620:4f:7fff:ffff:ffff:ffff:ffff:ffff',
    '2620:4f:8001::',
    '2606:4700::1111',
    '3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '3fff:1000::',
    '3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  ])('%s is allowed', (address) => {
    expect(addressFault(address)).toBeUndefined();
  });
});

describe('every spelling', () => {
  const wide = (text: string): string =>
    text.replace(/[\d.a-fx]/g, (character) => String.fromCharCode((character.codePointAt(0) ?? 0) + 0xfee0));
  const escaped = (text: string): string =>
    text.replace(/[^%]/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
  /** A number in a base that URLs understand, with some needless zeros. */
  const inBase = (value: number, base: number, zeros: number): string => {
    const pad = '0'.repeat(zeros);
    if (base === 8) return `0${pad}${value.toString(8)}`;
    return base === 16 ? `0x${pad}${value.toString(16)}` : `${value}`;
  };
  const spelling4 = (address: fc.Arbitrary<number>): fc.Arbitrary<string> =>
    fc
      .record({
        value: address,
        parts: fc.constantFrom(1, 2, 3, 4),
        bases: fc.array(fc.constantFrom(8, 10, 16), { minLength: 4, maxLength: 4 }),
        zeros: fc.nat(3),
        dressed: fc.constantFrom('plain', 'wide', 'escaped', 'upper', 'dot', 'wide dot'),
      })
      .map(({ value, parts, bases, zeros, dressed }) => {
        const bytes = bytesOf(value);
        const last = bytes.slice(parts - 1).reduce((sum, byte) => sum * 256 + byte, 0);
        const text = [...bytes.slice(0, parts - 1), last]
          .map((part, index) => inBase(part, bases[index] ?? 10, zeros))
          .join('.');
        if (dressed === 'wide') return wide(text);
        if (dressed === 'escaped') return escaped(text);
        if (dressed === 'upper') return text.toUpperCase();
        if (dressed === 'wide dot') return text.replaceAll('.', '。');
        return dressed === 'dot' ? `${text}.` : text;
      });

  test('of a refused IPv4 address is refused for its address', () => {
    fc.assert(
      fc.property(spelling4(refusedAddress), (host) => {
        const judged = judgeUrl(`https://${host}/`, strict);
        expect(judged.ok ? 'allowed' : judged.refusal.stage).toBe('address');
      }),
      { numRuns: 2_000 },
    );
  });

  test('of a global IPv4 address is allowed, so that the refusals are about addresses', () => {
    fc.assert(
      fc.property(spelling4(globalAddress), (host) => {
        expect(judgeUrl(`https://${host}/`, strict)).toMatchObject({ ok: true });
      }),
      { numRuns: 2_000 },
    );
  });

  test('of a refused IPv4 address inside an IPv6 one is refused', () => {
    const prefixes = [
      '::',
      '::ffff:',
      '0:0:0:0:0:ffff:',
      '::ffff:0:',
      '64:ff9b::',
      '64:ff9b:1::',
      'fe80::5efe:',
    ];
    fc.assert(
      fc.property(refusedAddress, fc.constantFrom(...prefixes), fc.boolean(), (value, prefix, dotted) => {
        const [a = 0, b = 0, c = 0, d = 0] = bytesOf(value);
        const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
        for (const host of [`[${prefix}${dotted ? toAddress(value) : hex}]`, `[2002:${hex}::1]`]) {
          for (const policy of [strict, withNat64]) {
            const judged = judgeUrl(`https://${host}/`, policy);
            expect(judged.ok ? `${host} allowed` : judged.refusal.stage).toBe('address');
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('of a random global unicast IPv6 address is allowed', () => {
    const special = (first: number, second: number, third: number): boolean =>
      (first === 0x2001 && (second < 0x200 || second === 0xdb8)) ||
      first === 0x2002 ||
      (first === 0x2620 && second === 0x4f && third === 0x8000) ||
      (first === 0x3fff && second < 0x1000);
    const head = fc.integer({ min: 0x2000, max: 0x3fff });
    fc.assert(
      fc.property(fc.tuple(head, group, group, group, group, group, group, group), (groups) => {
        fc.pre(!special(groups[0], groups[1], groups[2]));
        const host = groups.map((part) => part.toString(16)).join(':');
        expect(judgeUrl(`https://[${host}]/`, strict)).toMatchObject({ ok: true });
      }),
      { numRuns: 1_000 },
    );
  });

  test('of a random IPv6 address outside 2000::/3 is refused', () => {
    const head = fc.oneof(fc.integer({ min: 0, max: 0x1fff }), fc.integer({ min: 0x4000, max: 0xffff }));
    fc.assert(
      fc.property(fc.tuple(head, group, group, group, group, group, group, group), (groups) => {
        const host = groups.map((part) => part.toString(16)).join(':');
        expect(judgeUrl(`https://[${host}]/`, strict)).toMatchObject({ ok: false });
      }),
      { numRuns: 1_000 },
    );
  });
});
