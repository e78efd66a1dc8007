import { isIP } from 'node:net';
import { parseUrl } from '../base/url.ts';

export interface ForeignRequestOptions {
  readonly loopback: boolean;
  /** Inbound webhooks may come through a tunnel under any name, so their Host is not looked at. */
  readonly checkHost: boolean;
}

/**
 * Why a request looks like one that a web page made somebody's browser send, or undefined when it does not.
 * Senders of events and people's tools send no Origin; a page that rebinds its name to 127.0.0.1 sends its own
 * name as Host, and a rebound name is never an address.
 */
export function foreignRequest(
  request: { readonly url: string; readonly headers: Headers },
  { loopback, checkHost }: ForeignRequestOptions,
): string | undefined {
  const own = parseUrl(`http://${request.headers.get('host') ?? ''}`);
  const host = own?.hostname;
  const origin = request.headers.get('origin');
  // Origin says scheme, name and port: a page of another port of this machine is another origin.
  if (
    origin !== null &&
    (host === undefined || parseUrl(origin)?.origin !== own?.origin || !isLocalName(host))
  ) {
    return 'requests from other web origins are refused';
  }
  if (checkHost && loopback && (host === undefined || !isLocalName(host))) {
    return 'this Host is refused: use 127.0.0.1 or localhost';
  }
  return undefined;
}

function isLocalName(host: string): boolean {
  return host === 'localhost' || isIP(host.replace(/^\[|\]$/g, '')) !== 0;
}
