import type { Fault } from './fault.ts';
import { formatFieldPath } from './field-path.ts';
import { ObjectMeta } from './meta.ts';
import { dnsSubdomain, patternMessage } from './pattern.ts';
import { compilePruner } from './pruning.ts';
import { compileSchemaCheck } from './schema-check.ts';
import { toStructural } from './structural-schema.ts';

/** Keys and values of all annotations of a resource together, in bytes. */
const maxAnnotationBytes = 256 * 1024;

/** The last part of label keys, annotation keys and finalizers. */
const qualifiedName = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

const schema = toStructural(ObjectMeta);
const shape = compileSchemaCheck(schema);
const pruner = compilePruner(schema);

/** Fields of Kubernetes' metadata that mean nothing here; manifests taken out of a cluster have them. */
const ignoredFields: ReadonlySet<string> = new Set(['managedFields', 'selfLink']);

/** Removes unknown fields of a resource's metadata; see Pruner. */
export function pruneMetadata(metadata: unknown, unknown: Fault[], faults: Fault[]): unknown {
  const all: Fault[] = [];
  const pruned = pruner.prune(metadata, ['metadata'], { nullIsAbsent: false, unknown: all, faults });
  unknown.push(...all.filter((fault) => !ignoredFields.has(fault.path.slice('metadata.'.length))));
  return pruned;
}

/** Checks a resource's metadata by the rules of Kubernetes; `before` is the metadata that is stored. */
export function metadataFaults(metadata: unknown, before: unknown): readonly Fault[] {
  if (metadata === undefined) return [{ path: 'metadata', message: 'is required: give it at least a name' }];
  const misshapen = shape.faults(metadata, ['metadata']);
  if (misshapen.length > 0) return misshapen;
  const meta = metadata as ObjectMeta;
  return [
    ...nameFaults(meta),
    ...labelFaults(meta.labels),
    ...annotationFaults(meta.annotations),
    ...finalizerFaults(meta, before as ObjectMeta | undefined),
    ...ownerFaults(meta.ownerReferences),
  ];
}

function nameFaults(meta: ObjectMeta): Fault[] {
  if (meta.name !== undefined) return [];
  const { generateName } = meta;
  if (generateName === undefined || generateName === '') {
    return [{ path: 'metadata.name', message: 'is required (or metadata.generateName)' }];
  }
  // What is put behind it is a letter or digit, so it may end in "-" or ".".
  return dnsSubdomain.test(`${generateName}a`) && generateName.length <= 248
    ? []
    : [{ path: 'metadata.generateName', message: patternMessage(dnsSubdomain.source) }];
}

function labelFaults(labels: ObjectMeta['labels']): Fault[] {
  const faults: Fault[] = [];
  for (const key in labels) {
    const path = formatFieldPath(['metadata', 'labels', key]);
    const reason = keyFault(key);
    if (reason !== undefined) faults.push({ path, message: `the key ${reason}` });
    const value = labels[key] ?? '';
    if (value.length > 63 || !labelValue.test(value)) {
      faults.push({
        path,
        message: 'the value must be at most 63 letters, digits, "-", "_" and ".", or empty',
      });
    }
  }
  return faults;
}

function annotationFaults(annotations: ObjectMeta['annotations']): Fault[] {
  const faults: Fault[] = [];
  let bytes = 0;
  for (const key in annotations) {
    const reason = keyFault(key);
    if (reason !== undefined) {
      faults.push({ path: formatFieldPath(['metadata', 'annotations', key]), message: `the key ${reason}` });
    }
    bytes += Buffer.byteLength(key) + Buffer.byteLength(annotations[key] ?? '');
  }
  if (bytes > maxAnnotationBytes) {
    faults.push({
      path: 'metadata.annotations',
      message: `take ${bytes} bytes; all together may take ${maxAnnotationBytes}`,
    });
  }
  return faults;
}

function finalizerFaults(meta: ObjectMeta, before: ObjectMeta | undefined): Fault[] {
  const faults: Fault[] = [];
  for (const [index, finalizer] of (meta.finalizers ?? []).entries()) {
    const path = formatFieldPath(['metadata', 'finalizers', index]);
    const reason = keyFault(finalizer);
    if (reason !== undefined) faults.push({ path, message: reason });
    if (before?.deletionTimestamp !== undefined && before.finalizers?.includes(finalizer) !== true) {
      faults.push({ path, message: 'cannot be added to a resource that is being deleted' });
    }
  }
  return faults;
}

function ownerFaults(owners: ObjectMeta['ownerReferences']): Fault[] {
  const controllers = (owners ?? []).filter((owner) => owner.controller === true).length;
  return controllers > 1
    ? [{ path: 'metadata.ownerReferences', message: 'only one owner may be the controller' }]
    : [];
}

/** What is wrong with `prefix.example/name` or `name`; undefined when nothing is. */
function keyFault(key: string): string | undefined {
  const slash = key.indexOf('/');
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const name = key.slice(slash + 1);
  if (prefix !== undefined && (prefix.length > 253 || !dnsSubdomain.test(prefix))) {
    return 'must have a DNS name before its "/"';
  }
  if (name.length > 63 || !qualifiedName.test(name)) {
    return 'must be NAME or dns.name/NAME, where NAME is at most 63 letters, digits, "-", "_" and "."';
  }
  return undefined;
}
