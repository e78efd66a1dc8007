import { isIP } from 'node:net';
import { type Cidr, inCidr, parseCidr } from './address-policy.ts';
import { nameFormFault } from './name-policy.ts';

/** One entry of `--egress-allow` or `--egress-deny`. Without a port it holds for every port. */
export type OperatorRule = { readonly port: number | undefined } & (
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
  if (whole !== undefined) return { kind: 'range', cidr: whole, port: undefined };
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (parts === null) return undefined;
  const host = parts[1] ?? parts[2] ?? '';
  const port = parts[3] === undefined ? undefined : Number(parts[3]);
  if (port !== undefined && (port === 0 || port > 65535)) return undefined;
  const cidr = parseCidr(host);
  if (cidr !== undefined) return { kind: 'range', cidr, port };
  return parts[1] === undefined ? nameRule(host, port) : undefined;
}

function nameRule(host: string, port: number | undefined): OperatorRule | undefined {
  const suffix = host.startsWith('*.');
  const name = (suffix ? host.slice(2) : host).replace(/\.$/, '');
  // A name that is nothing but digits and dots is a mistyped address.
  if (!/^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(name) || /^[\d.]+$/.test(name)) return undefined;
  return nameFormFault(name) === undefined ? { kind: 'name', name, suffix, port } : undefined;
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
