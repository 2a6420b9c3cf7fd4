const dns1123LabelForm = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const dns1123SubdomainForm = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedForm = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** A check of a text: what is wrong with it in Kubernetes' words, or nothing. */
export type TextCheck = (text: string) => readonly string[];

const tooLong = (limit: number) => `must be no more than ${limit} bytes`;

function regexMessage(text: string, form: RegExp, ...examples: string[]): string {
  const shown = examples.map((e) => `'${e}'`).join(',  or ');
  // The source without its anchors is what Kubernetes prints.
  return `${text} (e.g. ${shown}, regex used for validation is '${form.source.slice(1, -1)}')`;
}

/** RFC 1123 label: namespaces, Services (since Kubernetes 1.36, KEP-5311), ports' names, and so on. */
export const dns1123Label: TextCheck = (text) => [
  ...(text.length > 63 ? [tooLong(63)] : []),
  ...(dns1123LabelForm.test(text)
    ? []
    : [
        regexMessage(
          "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
          dns1123LabelForm,
          'my-name',
          '123-abc',
        ),
      ]),
];

/** RFC 1123 subdomain: the names of most objects. */
export const dns1123Subdomain: TextCheck = (text) => [
  ...(text.length > 253 ? [tooLong(253)] : []),
  ...(dns1123SubdomainForm.test(text)
    ? []
    : [
        regexMessage(
          "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
          dns1123SubdomainForm,
          'example.com',
        ),
      ]),
];

const namePartMessage =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/** A label or annotation key: `[prefix/]name`. */
export const qualifiedName: TextCheck = (text) => {
  const parts = text.split('/');
  if (parts.length > 2) {
    return [
      regexMessage(
        "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        qualifiedForm,
        'MyName',
        'my.name',
        '123-abc',
      ).concat(" with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"),
    ];
  }
  const [name = '', prefix] = parts.reverse();
  const problems: string[] = [];
  if (prefix === '') problems.push('prefix part must be non-empty');
  else if (prefix !== undefined) problems.push(...dns1123Subdomain(prefix).map((p) => `prefix part ${p}`));
  if (name === '') problems.push('name part must be non-empty');
  else if (name.length > 63) problems.push(`name part ${tooLong(63)}`);
  if (!qualifiedForm.test(name)) {
    problems.push(regexMessage(namePartMessage, qualifiedForm, 'MyName', 'my.name', '123-abc'));
  }
  return problems;
};

const labelValueForm = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

/** A label's value; may be empty. */
export const labelValue: TextCheck = (text) => [
  ...(text.length > 63 ? [tooLong(63)] : []),
  ...(labelValueForm.test(text)
    ? []
    : [
        regexMessage(
          "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
          labelValueForm,
          'MyValue',
          'my_value',
          '12345',
        ),
      ]),
];

const configMapKeyForm = /^[-._a-zA-Z0-9]+$/;

/** A key of a ConfigMap or Secret: a file's name. */
export const configMapKey: TextCheck = (text) => {
  const problems: string[] = [];
  if (text.length > 253) problems.push(tooLong(253));
  if (!configMapKeyForm.test(text)) {
    problems.push(
      regexMessage(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        configMapKeyForm,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    );
  }
  if (text === '.' || text === '..') problems.push(`must not be '${text}'`);
  else if (text.startsWith('..')) problems.push("must not start with '..'");
  return problems;
};

/** The name of a container or Service port that others refer to (RFC 6335 service name). */
export const ianaServiceName: TextCheck = (text) => {
  const problems: string[] = [];
  if (text.length > 15) problems.push('must be no more than 15 characters');
  if (!/^[-a-z0-9]+$/.test(text))
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(text)) problems.push('must contain at least one letter (a-z)');
  if (text.includes('--')) problems.push('must not contain consecutive hyphens');
  if (text.startsWith('-') || text.endsWith('-')) problems.push('must not begin or end with a hyphen');
  return problems;
};

/** A port number. */
export function portNumber(port: number): readonly string[] {
  return port >= 1 && port <= 65535 ? [] : ['must be between 1 and 65535, inclusive'];
}

/** A name that can be one part of a path: those of roles and their bindings, which may have colons. */
export const pathSegment: TextCheck = (text) => {
  if (text === '.' || text === '..') return [`may not be '${text}'`];
  return ['/', '%'].filter((part) => text.includes(part)).map((part) => `may not contain '${part}'`);
};
