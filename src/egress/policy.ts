import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { TelosError } from '../base/errors.ts';
import { parseUrl } from '../base/url.ts';
import { type Cidr, maybeWithPort, parseCidr } from './address-policy.ts';
import { type OperatorRule, parseOperatorRule } from './operator-rules.ts';

/** What the operator says about egress, as flags give it. */
export interface EgressOptions {
  /** `--egress-allow`: CIDR, address, name or `*.name`, each optionally `:port`. */
  readonly allow: readonly string[];
  /** `--egress-deny`: the same; wins over everything. */
  readonly deny: readonly string[];
  /** `--egress-proxy`: `http://` or `https://`, user and password in it if it wants them. */
  readonly proxy?: string | undefined;
  /** `--egress-nat64-prefix`: a /96. */
  readonly nat64Prefix?: string | undefined;
  /** The text of `--ca-file`: trust anchors besides the usual ones. */
  readonly caPem?: string | undefined;
  /** The file it came from, for errors. */
  readonly caFile?: string | undefined;
  /** `--dns-server`: `IP`, `IP:PORT` or `[IP]:PORT`; none: the system's. */
  readonly dnsServers?: readonly string[] | undefined;
}

/** The same, understood. */
export interface EgressPolicy {
  readonly allow: readonly OperatorRule[];
  readonly deny: readonly OperatorRule[];
  readonly proxy: URL | undefined;
  readonly nat64: Cidr | undefined;
  readonly caPem: string | undefined;
  readonly dnsServers: readonly string[];
}

/** A flag cannot be understood. The message names flag, entry and right form. */
export class EgressConfigError extends TelosError {
  constructor(flag: string, entry: string, remedy: string) {
    super('EgressConfig', `${flag}: ${JSON.stringify(entry)}: ${remedy}`);
  }
}

/** Understands the operator's flags. @throws EgressConfigError */
export function parseEgressPolicy(options: EgressOptions): EgressPolicy {
  return {
    allow: options.allow.map((entry) => parseRule('--egress-allow', entry)),
    deny: options.deny.map((entry) => parseRule('--egress-deny', entry)),
    proxy: options.proxy === undefined ? undefined : parseProxy(options.proxy),
    nat64: options.nat64Prefix === undefined ? undefined : parseNat64(options.nat64Prefix),
    caPem: options.caPem === undefined ? undefined : checkedPem(options.caPem, options.caFile ?? '…'),
    dnsServers: (options.dnsServers ?? []).map(parseDnsServer),
  };
}

/** An entry that says one thing to whoever wrote it and another to us would open the wrong door. */
function refuseAmbiguous(flag: string, entry: string): void {
  const parts = maybeWithPort(entry.trim());
  if (parts === undefined) return;
  const remedy = `write [${parts.address}]:${parts.port} for a port, [${entry.trim()}] for an address`;
  throw new EgressConfigError(flag, entry, remedy);
}

function parseRule(flag: string, entry: string): OperatorRule {
  refuseAmbiguous(flag, entry);
  const rule = parseOperatorRule(entry);
  if (rule !== undefined) return rule;
  const url = entry.includes('://') ? parseUrl(entry) : undefined;
  throw new EgressConfigError(
    flag,
    // Who pastes a chat URL here pastes a credential.
    url === undefined || url.origin === entry ? entry : `${url.protocol}//${url.host}/…`,
    'write a CIDR without host bits, an address (IPv4 as 10.1.2.3), a name or *.name, each optionally with :port ([IPv6]:port)',
  );
}

function parseProxy(text: string): URL {
  const url = parseUrl(text);
  const plain = url !== undefined && url.pathname === '/' && url.search === '' && url.hash === '';
  if (plain && (url.protocol === 'http:' || url.protocol === 'https:') && isDecodable(url)) return url;
  // The text may hold a password, so it is not repeated.
  throw new EgressConfigError(
    '--egress-proxy',
    '…',
    'write http://HOST:PORT or https://HOST:PORT; a % in user or password is %25',
  );
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username);
    decodeURIComponent(password);
    return true;
  } catch {
    return false;
  }
}

function parseNat64(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr?.bits === 96 && cidr.bytes.length === 16) return cidr;
  throw new EgressConfigError(
    '--egress-nat64-prefix',
    text,
    'write an IPv6 prefix of 96 bits, such as 64:ff9b::/96',
  );
}

function checkedPem(pem: string, file: string): string {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
    if (certificates.length > 0) return certificates.join('\n');
  } catch {
    // Said below.
  }
  throw new EgressConfigError('--ca-file', file, 'must hold one or more certificates in PEM form');
}

/** In the form that node:dns takes: `IP:PORT`, `[IPv6]:PORT`. */
function parseDnsServer(text: string): string {
  refuseAmbiguous('--dns-server', text);
  const parts = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(isIP(text) === 6 ? `[${text}]` : text);
  const address = parts?.[1] ?? parts?.[2] ?? '';
  const port = Number(parts?.[3] ?? 53);
  if (isIP(address) === 0 || port === 0 || port > 65535) {
    throw new EgressConfigError('--dns-server', text, 'write IP or IP:PORT');
  }
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}
