import { SignalboxError } from '../errors/error.ts';

const certificateProblems: { readonly [code: string]: string } = {
  CERT_HAS_EXPIRED: 'shows a certificate that has expired',
  CERT_NOT_YET_VALID: 'shows a certificate that is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'shows a self-signed certificate that is not the trusted one',
  SELF_SIGNED_CERT_IN_CHAIN: 'shows a certificate of an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT: 'shows a certificate of an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'shows a certificate of an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'shows a certificate of an authority that is not trusted',
  CERT_SIGNATURE_FAILURE: 'shows a certificate of an authority with the trusted one’s name and another key',
  ERR_TLS_CERT_ALTNAME_INVALID: 'shows a certificate for other host names',
};

const networkProblems: { readonly [code: string]: string } = {
  ECONNREFUSED: 'refuses the connection',
  ECONNRESET: 'closed the connection',
  EPIPE: 'closed the connection',
  ETIMEDOUT: 'does not answer in time',
  EHOSTUNREACH: 'is on a host that cannot be reached',
  ENETUNREACH: 'is on a network that cannot be reached',
  ENOTFOUND: 'has a host name that does not resolve',
  EAI_AGAIN: 'has a host name that cannot be resolved now',
};

/** The failure of a connection to `server` in words: `API_UNTRUSTED` for certificates, else `API_UNREACHABLE`. */
export function connectionError(server: string, cause: unknown): SignalboxError {
  const code = errorCode(cause);
  const certificate = certificateProblems[code];
  if (certificate !== undefined)
    return new SignalboxError('API_UNTRUSTED', {
      object: `API server ${server}`,
      problem: certificate,
      remedy:
        'compare certificate-authority-data and server in the kubeconfig with the cluster; the kubeconfig may be of an earlier one',
      cause,
    });
  if (/^ERR_(SSL|TLS)|^EPROTO$/.test(code)) return protocolError(server, cause);
  return new SignalboxError('API_UNREACHABLE', {
    object: `API server ${server}`,
    problem: networkProblems[code] ?? `cannot be reached (${cause instanceof Error ? cause.message : String(cause)})`,
    remedy: 'check that the cluster runs and that server in the kubeconfig is its address',
    cause,
  });
}

/** Something answered that is no API server, or the answer broke off. */
export function unreadableAnswer(server: string, cause: unknown): SignalboxError {
  return new SignalboxError('API_UNREACHABLE', {
    object: `API server ${server}`,
    problem: `gave an answer that cannot be read (${cause instanceof Error ? cause.message : String(cause)})`,
    remedy: 'check that server in the kubeconfig is the address of a Kubernetes API server',
    cause,
  });
}

function protocolError(server: string, cause: unknown): SignalboxError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const plain = /wrong version number|packet length too long|http request/i.test(text);
  const alert = /alert (?:number \d+|[a-z ]*certificate[a-z ]*|unknown ca)/i.test(text);
  return new SignalboxError('API_UNTRUSTED', {
    object: `API server ${server}`,
    problem: plain
      ? 'does not speak TLS'
      : alert
        ? 'does not accept the client certificate'
        : `broke off TLS (${text.trim()})`,
    remedy: plain
      ? 'write http:// in the kubeconfig, or the port of the TLS listener'
      : 'compare the client certificate in the kubeconfig with the cluster; it may have expired or be of an earlier cluster',
    cause,
  });
}

/** The system's or TLS library's code of an error; of the first inner error where several addresses were tried. */
function errorCode(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCode(error.errors[0]);
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}
