import { isLoopback } from '../server/http-server.ts';

/** What to say of an engine that other machines reach; undefined when none does. */
export function exposureWarning(host: string, rooms: { readonly spawn: boolean }): string | undefined {
  if (isLoopback(host)) return undefined;
  const events = rooms.spawn
    ? ', and /webhook/SOURCE takes unsigned events where a source has no secretRef'
    : '';
  return `other machines can reach this engine, without TLS: /metrics, /healthz and /readyz answer everybody${events}; put a proxy in front of it, or listen with --host 127.0.0.1`;
}
