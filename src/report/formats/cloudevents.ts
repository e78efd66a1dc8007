import type { Payload } from '../../api/delivery.ts';
import { fitPayload } from '../fit-payload.ts';
import type { FormattedBody } from './formatted-body.ts';
import { renderJson } from './json.ts';

/** Bytes that an event may have before intermediaries may refuse it. */
const maxEventBytes = 64 * 1024;

/** CloudEvents 1.0, HTTP binary mode: the attributes as headers, format json as the body. */
export function formatCloudEvent(payload: Payload, id: string): FormattedBody {
  const { namespace, task, phase, completionTime } = payload;
  return {
    contentType: 'application/json',
    headers: {
      'ce-specversion': '1.0',
      'ce-id': id,
      'ce-source': `/apis/kelos.dev/namespaces/${namespace}/tasks/${task}`,
      'ce-type': phase === 'Succeeded' ? 'dev.kelos.task.succeeded' : 'dev.kelos.task.failed',
      'ce-subject': task,
      ...(completionTime === undefined ? {} : { 'ce-time': completionTime }),
    },
    body: renderJson(fitPayload(payload, maxEventBytes)),
  };
}
