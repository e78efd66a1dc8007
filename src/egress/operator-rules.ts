import { isIP } from 'node:net';
import { parseUrl } from '../base/url.ts';
import { type Cidr, inCidr, isMappedRange, parseCidr } from './address-policy.ts';
import { nameFormFault } from './name-policy.ts';

/** One entry of `--egress-allow` or `--egress-deny`. Without a port it holds for every port. */
export type OperatorRule = {
  /** The entry, trimmed and in lower case, for messages. */
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
  if (whole !== undefined) return rangeRule(text, whole, undefined);
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (parts === null) return undefined;
  const [, bracketed, plain = ''] = parts;
  const port = parts[3] === undefined ? undefined : Number(parts[3]);
  if (port !== undefined && (port === 0 || port > 65535)) return undefined;
  const cidr = parseCidr(bracketed ?? plain);
  if (cidr === undefined) return bracketed === undefined ? nameRule(text, plain, port) : undefined;
  // Brackets are for IPv6, as in a URL.
  const isIpv6 = cidr.bytes.length === 16;
  return isIpv6 === (bracketed !== undefined) ? rangeRule(text, cidr, port) : undefined;
}

/** A range of mapped IPv4 addresses would say nothing about the IPv4 addresses that it means. */
function rangeRule(text: string, cidr: Cidr, port: number | undefined): OperatorRule | undefined {
  return isMappedRange(cidr) ? undefined : { kind: 'range', text, cidr, port };
}

function nameRule(text: string, host: string, port: number | undefined): OperatorRule | undefined {
  const suffix = host.startsWith('*.');
  const name = hostName(suffix ? host.slice(2) : host);
  if (name === undefined || !/^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(name)) return undefined;
  return nameFormFault(name) === undefined ? { kind: 'name', text, name, suffix, port } : undefined;
}

/** A name as URLs spell it: letters of other alphabets in Punycode. Undefined for what URLs take for an address. */
function hostName(text: string): string | undefined {
  if (/[\p{Cc}\p{Cf}\s%/\\?#@]/u.test(text)) return undefined;
  const name = parseUrl(`https://${text}/`)?.hostname.replace(/\.$/, '');
  return name === undefined || isIP(name) !== 0 ? undefined : name;
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

/** Whether a rule for addresses is narrow enough to mean the IPv4 addresses that IPv6 ones carry: a /96 at least. */
export function namesWhatIsCarried(rule: OperatorRule): boolean {
  return rule.kind === 'range' && (rule.cidr.bytes.length === 4 || rule.cidr.bits >= 96);
}
