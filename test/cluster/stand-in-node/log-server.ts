import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { makeCertificate } from '../../../src/cli/demo/certificate.ts';
import { type LogSelection, readContainerLog } from './container-log.ts';
import type { ContainerRun } from './container-run.ts';

/** Finds a container that runs, or ran, on the node. */
export type FindContainer = (namespace: string, pod: string, container: string) => ContainerRun | undefined;

/** The part of a kubelet's API that `pods/log` needs: `GET /containerLogs/NAMESPACE/POD/CONTAINER`. */
export class LogServer {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(find: FindContainer): Promise<LogServer> {
    const { certPem: cert, keyPem: key } = await makeCertificate({ names: ['127.0.0.1'] });
    const server = createServer({ cert, key }, (request, response) => {
      void answer(find, request, response).catch(() => response.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new LogServer(server);
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer(
  find: FindContainer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://node');
  const [, api, namespace = '', pod = '', name = ''] = pathname.split('/');
  const container = api === 'containerLogs' ? find(namespace, pod, name) : undefined;
  if (container === undefined) {
    response.writeHead(404).end(`container ${name} of pod ${namespace}/${pod} not found`);
    return;
  }
  const previous = searchParams.get('previous') === 'true';
  const refusal = refuse(container, pod, previous);
  if (refusal !== undefined) {
    response.writeHead(400).end(refusal);
    return;
  }
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  const file = container.logFile(previous);
  const ended = (): boolean =>
    response.destroyed || file !== container.logFile() || 'terminated' in container.state;
  for await (const chunk of readContainerLog(file, selectionOf(searchParams), ended)) {
    if (!response.write(chunk)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    if (response.destroyed) return;
  }
  response.end();
}

function refuse({ spec, state, status }: ContainerRun, pod: string, previous: boolean): string | undefined {
  if (previous) {
    if (status.restartCount > 0) return undefined;
    return `previous terminated container "${spec.name}" in pod "${pod}" not found`;
  }
  if (!('waiting' in state) || status.restartCount > 0) return undefined;
  return `container "${spec.name}" in pod "${pod}" is waiting to start: ${state.waiting.reason}`;
}

function selectionOf(query: URLSearchParams): LogSelection {
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    return text === null ? undefined : Number(text);
  };
  const tailLines = number('tailLines');
  const limitBytes = number('limitBytes');
  const sinceSeconds = number('sinceSeconds');
  const sinceTime = query.get('sinceTime');
  const since = sinceTime === null ? sinceSeconds && Date.now() - sinceSeconds * 1000 : Date.parse(sinceTime);
  return {
    follow: query.get('follow') === 'true',
    timestamps: query.get('timestamps') === 'true',
    ...(tailLines !== undefined && { tailLines }),
    ...(limitBytes !== undefined && { limitBytes }),
    ...(since !== undefined && { since }),
  };
}
