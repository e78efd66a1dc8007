import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { errorCode } from '../base/errors.ts';

/** Whom connections trust: the usual anchors, those of the system's operator, and `caPem` besides. TLS 1.2 or later. */
export function trustedContext(caPem: string | undefined): SecureContext {
  const context = createSecureContext({ minVersion: 'TLSv1.2' });
  if (caPem === undefined) return context;
  // Adds to the usual anchors, where the option `ca` would replace them.
  context.context.addCACert(caPem);
  // Node 20 leaves out those of NODE_EXTRA_CA_CERTS once a context gets anchors of its own.
  for (const pem of extraAnchors()) context.context.addCACert(pem);
  return context;
}

/** What Node was told to trust besides its own list. Node has warned already of a file that it cannot read. */
function extraAnchors(): readonly string[] {
  const path = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
  try {
    return path === '' ? [] : [readFileSync(path, 'utf8')];
  } catch {
    return [];
  }
}

/** Why a handshake failed, in words. */
export function tlsText(error: Error): string {
  switch (errorCode(error)) {
    case 'CERT_HAS_EXPIRED':
      return 'its certificate has expired';
    case 'CERT_NOT_YET_VALID':
      return 'its certificate is not valid yet: check the clocks';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'CERT_SIGNATURE_FAILURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'its certificate is signed by nobody we trust: give the authority with --ca-file';
    default:
      return `the TLS handshake failed (${errorCode(error) ?? 'closed by the other side'})`;
  }
}
