import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

/** PEM texts of a certificate and its key. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Who a client certificate is for. */
export interface Subject {
  readonly user: string;
  readonly groups: readonly string[];
}

/** Names and addresses under which an API server is reached. */
export interface ServerNames {
  readonly names: readonly string[];
  readonly ips: readonly string[];
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const authorityYears = 10;
const leafYears = 1;
/** Clocks of a machine and its guests differ. */
const backdateMs = 3_600_000;

x509.cryptoProvider.set(webcrypto);

/** A new self-signed authority. */
export async function createAuthority(): Promise<KeyPair> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: ['signalbox-ca'] }],
    ...validity(authorityYears),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: certificate.toString('pem'), key: await exportKey(keys.privateKey) };
}

/** A certificate for an API server. */
export function issueServerCertificate(ca: KeyPair, { names, ips }: ServerNames): Promise<KeyPair> {
  return issue(
    ca,
    [{ CN: ['kube-apiserver'] }],
    [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...names.map((value) => ({ type: 'dns' as const, value })),
        ...ips.map((value) => ({ type: 'ip' as const, value })),
      ]),
    ],
  );
}

/** A certificate for a client of the API. */
export function issueClientCertificate(ca: KeyPair, { user, groups }: Subject): Promise<KeyPair> {
  return issue(
    ca,
    [...groups.map((group) => ({ O: [group] })), { CN: [user] }],
    [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
  );
}

async function issue(ca: KeyPair, name: x509.JsonName, extensions: x509.Extension[]): Promise<KeyPair> {
  const authority = new x509.X509Certificate(ca.cert);
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: name,
    issuer: authority.subjectName.toJSON(),
    ...validity(leafYears),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: await importKey(ca.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ...extensions,
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  return { cert: certificate.toString('pem'), key: await exportKey(keys.privateKey) };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const [der] = x509.PemConverter.decode(pem);
  return webcrypto.subtle.importKey('pkcs8', der ?? new ArrayBuffer(0), algorithm, false, ['sign']);
}

function validity(years: number): { notBefore: Date; notAfter: Date } {
  const notBefore = new Date(Date.now() - backdateMs);
  const notAfter = new Date(notBefore);
  notAfter.setFullYear(notAfter.getFullYear() + years);
  return { notBefore, notAfter };
}

/** Positive, 128 bits. */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return Buffer.from(bytes).toString('hex');
}
