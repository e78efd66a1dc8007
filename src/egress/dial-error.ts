import { isIP } from 'node:net';
import { errorCode, TelosError } from '../base/errors.ts';

/** Why no connection came about. Each is a reason of a failed attempt. */
export type DialFailure = 'Connect' | 'TLS' | 'Timeout' | 'Proxy';

export class DialError extends TelosError {
  declare readonly code: DialFailure;
  /** What was dialled last: `address:port` of the receiver, also when a proxy is between. */
  readonly address: string | undefined;
  /** Whether the fault may be the address's own, so that another one of the same name may do better. */
  readonly isOfAddress: boolean;

  constructor(code: DialFailure, message: string, address?: string, cause?: Error, isOfAddress?: boolean) {
    super(code, message, { cause });
    this.address = address;
    // Another address would present the same certificate, and the proxy is one for all.
    this.isOfAddress = isOfAddress ?? (code === 'Connect' || code === 'Timeout');
  }
}

/** `address:port`, IPv6 in brackets. */
export function hostPort(address: string, port: number): string {
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** What an error of connecting means, in words. */
export function connectText(error: Error): string {
  switch (errorCode(error)) {
    case 'ECONNREFUSED':
      return 'connection refused: nothing listens there';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'no route to that address';
    case 'ECONNRESET':
      return 'connection reset';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its name cannot be resolved';
    default:
      return errorCode(error) ?? 'cannot connect';
  }
}
