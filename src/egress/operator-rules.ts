import { isIP } from 'node:net';
import { type Cidr, inCidr, parseCidr } from './address-policy.ts';
import { nameFormFault } from './name-policy.ts';

/** One entry of `--egress-allow` or `--egress-deny`. Without a port it holds for every port. */
export type OperatorRule = {
  /** The entry, trimmed and in lower case. */
  readonly text: string;
  readonly port: number | undefined;
} & (
  | { readonly kind: 'range'; readonly cidr: Cidr }
  /** `suffix` is `*.name`: names below it, not itself. */
  | { readonly kind: 'name'; readonly name: string; readonly suffix: boolean }
);

/**
 * Reads an entry: a CIDR, an address, a name or `*.name`, each optionally `:port`; an IPv6 address with a port
 * stands in brackets. Undefined when it is none of these.
 */
export function parseOperatorRule(entry: string): OperatorRule | undefined {
  const text = entry.trim().toLowerCase();
  const whole = parseCidr(text);
  if (whole !== undefined) return { kind: 'range', text, cidr: whole, port: undefined };
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (parts === null) return undefined;
  const [, bracketed, plain = ''] = parts;
  const port = parts[3] === undefined ? undefined : Number(parts[3]);
  if (port !== undefined && (port === 0 || port > 65535)) return undefined;
  const cidr = parseCidr(bracketed ?? plain);
  if (cidr === undefined) return bracketed === undefined ? nameRule(text, plain, port) : undefined;
  // Brackets are for IPv6, as in a URL.
  const isIpv6 = cidr.bytes.length === 16;
  return isIpv6 === (bracketed !== undefined) ? { kind: 'range', text, cidr, port } : undefined;
}

function nameRule(text: string, host: string, port: number | undefined): OperatorRule | undefined {
  const suffix = host.startsWith('*.');
  const name = (suffix ? host.slice(2) : host).replace(/\.$/, '');
  // A name that is nothing but digits and dots is a mistyped address.
  if (!/^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(name) || /^[\d.]+$/.test(name)) return undefined;
  return nameFormFault(name) === undefined ? { kind: 'name', text, name, suffix, port } : undefined;
}

/** Whether a rule speaks of a host name (lower case, no trailing dot) and port. */
export function matchesName(rule: OperatorRule, name: string, port: number): boolean {
  if (rule.kind !== 'name' || (rule.port !== undefined && rule.port !== port)) return false;
  return rule.suffix ? name.endsWith(`.${rule.name}`) : name === rule.name;
}

/** Whether a rule speaks of an address and port. */
export function matchesAddress(rule: OperatorRule, address: string, port: number): boolean {
  if (rule.kind !== 'range' || (rule.port !== undefined && rule.port !== port)) return false;
  return isIP(address) !== 0 && inCidr(address, rule.cidr);
}
