import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** A range of addresses: its first bytes, and how many bits of them count. */
export interface Cidr {
  /** As it was written, normalised: `10.0.0.0/8`. */
  readonly text: string;
  readonly bytes: readonly number[];
  readonly bits: number;
}

interface NamedRange extends Cidr {
  /** What it is for, as the IANA registries call it. */
  readonly use: string;
}

/** Reads `10.0.0.0/8`, `2001:db8::/32` or a single address. Undefined when it is neither, or has host bits set. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', prefix, ...more] = text.split('/');
  if (more.length > 0 || isIP(address) === 0 || address.includes('%')) return undefined;
  const bytes = addressBytes(address);
  const bits = prefix === undefined ? bytes.length * 8 : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (bits < 0 || bits > bytes.length * 8) return undefined;
  if (!bytes.every((byte, index) => (byte & ~maskByte(bits, index)) === 0)) return undefined;
  return { text: `${ipaddr.parse(address).toString()}/${bits}`, bytes, bits };
}

/**
 * The two parts of an IPv6 address without brackets that may be meant as address and port. Whoever writes a port of
 * one digit means an address.
 */
export function maybeWithPort(text: string): { readonly address: string; readonly port: string } | undefined {
  const parts = /^(.+):([1-9]\d{1,4})$/.exec(text);
  const [, address = '', port = ''] = parts ?? [];
  return isIP(text) === 6 && isIP(address) === 6 ? { address, port } : undefined;
}

/** Whether an address (not a name) is in a range; never across families. */
export function inCidr(address: string, cidr: Cidr): boolean {
  return bytesInCidr(addressBytes(address), cidr);
}

/** An address in one spelling, so that addresses can be compared as texts. A mapped IPv4 address stays IPv6. */
export function normalAddress(address: string): string {
  return ipaddr.parse(address).toString();
}

/** The IPv4 address that an IPv6 one carries in its last four bytes when it is in `prefix`, a /96. */
export function carriedIpv4(address: string, prefix: Cidr): string | undefined {
  const bytes = addressBytes(address);
  return bytesInCidr(bytes, prefix) ? bytes.slice(12).join('.') : undefined;
}

/**
 * Every IPv4 address that an IPv6 one may stand for, by the ways that are known to carry one: mapped, compatible
 * and translated addresses, NAT64, ISATAP, 6to4 and Teredo. Some of them may be chance.
 */
export function standsForIpv4(address: string): readonly string[] {
  if (isIP(address) !== 6) return [];
  const bytes = addressBytes(address);
  return carriers.flatMap(({ range: carrier, carried }) =>
    bytesInCidr(bytes, carrier) ? carried(bytes).map((four) => four.join('.')) : [],
  );
}

/** Whether an address is IPv4 in the clothes of IPv6. */
export function isMapped(address: string): boolean {
  return inCidr(address, mappedIpv4);
}

/** Whether all of a range is IPv4 in the clothes of IPv6, so that dialling in it dials IPv4. */
export function isMappedRange({ bytes, bits }: Cidr): boolean {
  return bits >= mappedIpv4.bits && bytesInCidr(bytes, mappedIpv4);
}

/**
 * Why an address is refused: the range and what it is for, as `10.0.0.0/8, private`. Undefined when it is
 * ordinary, globally reachable unicast. With `nat64`, a /96, addresses in it are judged as the IPv4 address
 * that they carry.
 */
export function addressFault(address: string, nat64?: Cidr): string | undefined {
  const bytes = addressBytes(address);
  if (bytes.length === 4) return rangeFault(bytes, refused4);
  if (nat64 !== undefined && bytesInCidr(bytes, nat64)) return rangeFault(bytes.slice(12), refused4);
  if (!bytesInCidr(bytes, globalUnicast)) return 'outside 2000::/3, not global unicast';
  return rangeFault(bytes, refused6);
}

/**
 * Why an IPv6 address is refused for the IPv4 addresses that it carries: the first refused one, as
 * `carries 10.0.0.1: 10.0.0.0/8, private`. Undefined when they are ordinary.
 */
export function carriedFault(address: string, carried: readonly string[]): string | undefined {
  // RFC 4291: the unspecified address and loopback carry nothing, though they lie among compatible addresses.
  if (inCidr(address, uncarrying)) return undefined;
  for (const four of carried) {
    const fault = addressFault(four);
    if (fault !== undefined) return `carries ${four}: ${fault}`;
  }
  return undefined;
}

function rangeFault(bytes: readonly number[], ranges: readonly NamedRange[]): string | undefined {
  const range = ranges.find((candidate) => bytesInCidr(bytes, candidate));
  return range === undefined ? undefined : `${range.text}, ${range.use}`;
}

function bytesInCidr(bytes: readonly number[], cidr: Cidr): boolean {
  return (
    bytes.length === cidr.bytes.length &&
    bytes.every((byte, index) => (byte & maskByte(cidr.bits, index)) === cidr.bytes[index])
  );
}

function addressBytes(address: string): number[] {
  return ipaddr.parse(address).toByteArray();
}

/** The part of the index-th byte that a prefix of so many bits covers. */
function maskByte(bits: number, index: number): number {
  const covered = Math.min(8, Math.max(0, bits - index * 8));
  return (0xff << (8 - covered)) & 0xff;
}

function range(text: string, use: string): NamedRange {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`${text} is no range`);
  return { ...cidr, use };
}

/** IPv4 special-purpose ranges (IANA registry), multicast, and the one cloud address that looks ordinary. */
const refused4: readonly NamedRange[] = [
  range('0.0.0.0/8', 'this network'),
  range('10.0.0.0/8', 'private'),
  range('100.64.0.0/10', 'shared'),
  range('127.0.0.0/8', 'loopback'),
  range('169.254.0.0/16', 'link-local'),
  range('172.16.0.0/12', 'private'),
  range('192.0.0.0/24', 'IETF protocols'),
  range('192.0.2.0/24', 'documentation'),
  range('192.31.196.0/24', 'AS112'),
  range('192.52.193.0/24', 'AMT'),
  range('192.88.99.0/24', '6to4 relay'),
  range('192.168.0.0/16', 'private'),
  range('192.175.48.0/24', 'AS112'),
  range('198.18.0.0/15', 'benchmarking'),
  range('198.51.100.0/24', 'documentation'),
  range('203.0.113.0/24', 'documentation'),
  range('224.0.0.0/4', 'multicast'),
  range('240.0.0.0/4', 'reserved'),
  range('168.63.129.16/32', 'cloud host services'),
];

const globalUnicast = range('2000::/3', 'global unicast');

const uncarrying = range('::/127', 'unspecified and loopback');

const mappedIpv4 = range('::ffff:0:0/96', 'mapped IPv4');

/** What is special inside 2000::/3. All other IPv6 is refused by default. */
const refused6: readonly NamedRange[] = [
  range('2001::/23', 'IETF protocols'),
  range('2001:db8::/32', 'documentation'),
  range('2002::/16', '6to4'),
  range('2620:4f:8000::/48', 'AS112'),
  range('3fff::/20', 'documentation'),
];

/** Where an IPv6 address holds an IPv4 one. */
const carriers: readonly {
  readonly range: Cidr;
  readonly carried: (bytes: readonly number[]) => readonly (readonly number[])[];
}[] = [
  ...[
    mappedIpv4,
    range('::/96', 'compatible IPv4'),
    range('::ffff:0:0:0/96', 'translated IPv4'),
    range('64:ff9b::/96', 'NAT64'),
    range('64:ff9b:1::/48', 'NAT64 of this network'),
  ].map((carrier) => ({ range: carrier, carried: (bytes: readonly number[]) => [bytes.slice(12)] })),
  {
    range: range('2002::/16', '6to4'),
    carried: (bytes) => [bytes.slice(2, 6)],
  },
  {
    // Server, and client with all bits turned round (RFC 4380).
    range: range('2001::/32', 'Teredo'),
    carried: (bytes) => [bytes.slice(4, 8), bytes.slice(12).map((byte) => 255 - byte)],
  },
  {
    // Any prefix, and then 0000:5efe or 0200:5efe (RFC 5214).
    range: range('::/0', 'ISATAP'),
    carried: (bytes) =>
      ((bytes[8] ?? 0) & 0xfd) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe
        ? [bytes.slice(12)]
        : [],
  },
];
