import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** A certificate with its key, PEM, and what signing others with it needs. */
export interface Certificate {
  readonly certPem: string;
  readonly keyPem: string;
  readonly issuer: { readonly name: string; readonly keys: webcrypto.CryptoKeyPair };
}

export interface CertificateOptions {
  /** DNS names and IP addresses it is for; none for a certificate authority. */
  readonly names?: readonly string[];
  /** Who signs it; absent: itself. */
  readonly signedBy?: Certificate;
  readonly notBefore?: Date;
  /** Default: a day from now. */
  readonly notAfter?: Date;
}

const hourMs = 3_600_000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Makes a P-256 certificate on the spot: an authority when it has no names, else a server's. */
export async function makeCertificate(options: CertificateOptions = {}): Promise<Certificate> {
  const { names = [], signedBy } = options;
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const name = `CN=${names[0] ?? 'Telos throw-away authority'}`;
  const authority = names.length === 0;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: name,
    issuer: signedBy?.issuer.name ?? name,
    notBefore: options.notBefore ?? new Date(Date.now() - hourMs),
    notAfter: options.notAfter ?? new Date(Date.now() + 24 * hourMs),
    publicKey: keys.publicKey,
    signingKey: signedBy?.issuer.keys.privateKey ?? keys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(authority, undefined, true),
      new x509.KeyUsagesExtension(
        authority
          ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign
          : x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      ...(authority ? [] : [new x509.SubjectAlternativeNameExtension(names.map(subjectName))]),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return {
    certPem: certificate.toString('pem'),
    keyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
    issuer: { name, keys },
  };
}

function subjectName(name: string): x509.JsonGeneralName {
  return { type: /^[0-9.]+$|:/.test(name) ? 'ip' : 'dns', value: name };
}
