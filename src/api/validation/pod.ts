import { tryParseIp } from '../../net/ip.ts';
import { isProtocol, protocols } from '../../net/port.ts';
import { canonicalJson } from '../canonical-json.ts';
import type { FieldErrors } from '../field-error.ts';
import type { Container, EnvVar, HTTPGetAction, Pod, PodSpec, Probe, Volume } from '../generated/types.ts';
import { configMapKey, dns1123Label, dns1123Subdomain, ianaServiceName, portNumber } from '../names.ts';
import { parseQuantity, quantityMessage } from '../quantity.ts';
import { validatePlacement } from './placement.ts';

const restartPolicies = ['Always', 'Never', 'OnFailure'];
const dnsPolicies = ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'];
const maxDeadlineSeconds = 2 ** 31 - 1;
const pullPolicies = ['Always', 'IfNotPresent', 'Never'];

/** Checks a Pod spec with defaults set; `field` is where it stands. */
export function validatePodSpec(spec: PodSpec, field: string, errors: FieldErrors): void {
  const context: PodContext = { volumes: new Set(), names: new Set(), errors };
  for (const [i, volume] of (spec.volumes ?? []).entries()) validateVolume(volume, `${field}.volumes[${i}]`, context);
  if ((spec.containers ?? []).length === 0) errors.required(`${field}.containers`);
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      const at = `${field}.${list}[${i}]`;
      validateContainer(container, at, context);
      validateProbes(container, at, { errors, allowed: list === 'containers' || container.restartPolicy === 'Always' });
    }
  }
  if (!restartPolicies.includes(spec.restartPolicy ?? '')) {
    errors.notSupported(`${field}.restartPolicy`, spec.restartPolicy ?? '', restartPolicies);
  }
  if (!dnsPolicies.includes(spec.dnsPolicy ?? '')) {
    errors.notSupported(`${field}.dnsPolicy`, spec.dnsPolicy ?? '', dnsPolicies);
  }
  validateDnsConfig(spec, field, errors);
  validatePodNames(spec, field, errors);
  validatePlacement(spec, field, errors);
  validateSysctls(spec, `${field}.securityContext.sysctls`, errors);
  const deadline = spec.activeDeadlineSeconds ?? 1;
  if (deadline < 1 || deadline > maxDeadlineSeconds) {
    const problem = `must be between 1 and ${maxDeadlineSeconds}, inclusive`;
    errors.invalid(`${field}.activeDeadlineSeconds`, deadline, problem);
  }
  const grace = spec.terminationGracePeriodSeconds ?? 0;
  if (grace < 0) errors.invalid(`${field}.terminationGracePeriodSeconds`, grace, 'must be greater than or equal to 0');
}

/** What the parts of one Pod have in common: the names that are taken, and where errors go. */
interface PodContext {
  readonly volumes: Set<string>;
  readonly names: Set<string>;
  readonly errors: FieldErrors;
}

function validatePodNames(spec: PodSpec, field: string, errors: FieldErrors): void {
  for (const name of ['nodeName', 'serviceAccountName'] as const) {
    if (spec[name]) errors.invalidEach(`${field}.${name}`, spec[name], dns1123Subdomain(spec[name]));
  }
  for (const name of ['hostname', 'subdomain'] as const) {
    if (spec[name]) errors.invalidEach(`${field}.${name}`, spec[name], dns1123Label(spec[name]));
  }
  for (const [i, { ip, hostnames = [] }] of (spec.hostAliases ?? []).entries()) {
    const at = `${field}.hostAliases[${i}]`;
    if (tryParseIp(ip ?? '') === undefined) errors.invalid(`${at}.ip`, ip ?? '', badIp);
    for (const name of hostnames) errors.invalidEach(`${at}.hostnames`, name, dns1123Subdomain(name));
  }
}

const sysctlPattern = '([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const sysctlName = new RegExp(`^${sysctlPattern}$`);
const maxSysctlLength = 253;

/** Whether a kernel has them, nodes say; here only what no kernel could have is refused. */
function validateSysctls({ securityContext }: PodSpec, field: string, errors: FieldErrors): void {
  const names = new Set<string>();
  for (const [i, { name = '' }] of (securityContext?.sysctls ?? []).entries()) {
    const at = `${field}[${i}].name`;
    if (name === '') errors.required(at);
    else if (name.length > maxSysctlLength || !sysctlName.test(name))
      errors.invalid(at, name, `must have at most ${maxSysctlLength} characters and match regex ^${sysctlPattern}$`);
    else if (names.has(name)) errors.duplicate(at, name);
    names.add(name);
  }
}

const badIp = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

function validateDnsConfig(spec: PodSpec, field: string, errors: FieldErrors): void {
  const { dnsConfig } = spec;
  if (spec.dnsPolicy === 'None' && (dnsConfig?.nameservers ?? []).length === 0) {
    errors.required(
      `${field}.dnsConfig.nameservers`,
      'must provide at least one DNS nameserver when `dnsPolicy` is None',
    );
  }
  for (const [i, server] of (dnsConfig?.nameservers ?? []).entries()) {
    if (tryParseIp(server) === undefined) {
      errors.invalid(
        `${field}.dnsConfig.nameservers[${i}]`,
        server,
        'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      );
    }
  }
  for (const [i, option] of (dnsConfig?.options ?? []).entries()) {
    if (option.name === undefined || option.name === '')
      errors.required(`${field}.dnsConfig.options[${i}]`, 'must not be empty');
  }
}

function validateVolume(volume: Volume, field: string, { volumes: names, errors }: PodContext): void {
  if (volume.name === undefined || volume.name === '') errors.required(`${field}.name`);
  else {
    errors.invalidEach(`${field}.name`, volume.name, dns1123Label(volume.name));
    if (names.has(volume.name)) errors.duplicate(`${field}.name`, volume.name);
    names.add(volume.name);
  }
  const [, second] = Object.keys(volume).filter((key) => key !== 'name');
  if (second !== undefined) errors.forbidden(`${field}.${second}`, 'may not specify more than 1 volume type');
  if (volume.hostPath !== undefined && !volume.hostPath.path) errors.required(`${field}.hostPath.path`);
  if (volume.configMap !== undefined && !volume.configMap.name) errors.required(`${field}.configMap.name`);
  if (volume.secret !== undefined && !volume.secret.secretName) errors.required(`${field}.secret.secretName`);
}

function validateContainer(container: Container, field: string, { volumes, names, errors }: PodContext): void {
  const { name, image, imagePullPolicy } = container;
  if (!name) errors.required(`${field}.name`);
  else {
    errors.invalidEach(`${field}.name`, name, dns1123Label(name));
    if (names.has(name)) errors.duplicate(`${field}.name`, name);
    names.add(name);
  }
  if (!image) errors.required(`${field}.image`);
  else if (image.trim() !== image) {
    errors.invalid(`${field}.image`, image, 'must not have leading or trailing whitespace');
  }
  if (imagePullPolicy !== undefined && !pullPolicies.includes(imagePullPolicy)) {
    errors.notSupported(`${field}.imagePullPolicy`, imagePullPolicy, pullPolicies);
  }
  validateContainerPorts(container, field, errors);
  validateEnvironment(container, field, errors);
  validateLifecycle(container, field, errors);
  validateMounts(container, field, { volumes, errors });
  validateResources(container, field, errors);
}

function validateMounts(
  container: Container,
  field: string,
  { volumes, errors }: Pick<PodContext, 'volumes' | 'errors'>,
): void {
  const mountPaths = new Set<string>();
  for (const [i, mount] of (container.volumeMounts ?? []).entries()) {
    const at = `${field}.volumeMounts[${i}]`;
    if (!mount.name) errors.required(`${at}.name`);
    else if (!volumes.has(mount.name)) errors.notFound(`${at}.name`, mount.name);
    if (!mount.mountPath) errors.required(`${at}.mountPath`);
    else if (mountPaths.has(mount.mountPath)) errors.invalid(`${at}.mountPath`, mount.mountPath, 'must be unique');
    mountPaths.add(mount.mountPath ?? '');
  }
}

function validateProbes(
  container: Container,
  field: string,
  { errors, allowed }: { readonly errors: FieldErrors; readonly allowed: boolean },
): void {
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    const probe = container[name];
    if (probe === undefined) continue;
    const at = `${field}.${name}`;
    if (!allowed) errors.forbidden(at, 'may not be set for init containers without restartPolicy=Always');
    else validateProbe(probe, at, errors);
    // Once down is down: only readiness comes and goes.
    if (name !== 'readinessProbe' && (probe.successThreshold ?? 1) !== 1) {
      errors.invalid(`${at}.successThreshold`, probe.successThreshold, 'must be 1');
    }
  }
}

function validateContainerPorts(container: Container, field: string, errors: FieldErrors): void {
  const names = new Set<string>();
  for (const [i, port] of (container.ports ?? []).entries()) {
    const at = `${field}.ports[${i}]`;
    if (port.name !== undefined && port.name !== '') {
      errors.invalidEach(`${at}.name`, port.name, ianaServiceName(port.name));
      if (names.has(port.name)) errors.duplicate(`${at}.name`, port.name);
      names.add(port.name);
    }
    if (port.containerPort === undefined || port.containerPort === 0) errors.required(`${at}.containerPort`);
    else errors.invalidEach(`${at}.containerPort`, port.containerPort, portNumber(port.containerPort));
    if (port.hostPort !== undefined && port.hostPort !== 0)
      errors.invalidEach(`${at}.hostPort`, port.hostPort, portNumber(port.hostPort));
    if (!isProtocol(port.protocol)) errors.notSupported(`${at}.protocol`, port.protocol ?? '', [...protocols].sort());
  }
}

function validateEnvironment(container: Container, field: string, errors: FieldErrors): void {
  for (const [i, variable] of (container.env ?? []).entries()) validateEnv(variable, `${field}.env[${i}]`, errors);
  for (const [i, source] of (container.envFrom ?? []).entries()) {
    const sources = Object.keys(source).filter((key) => key !== 'prefix').length;
    const at = `${field}.envFrom[${i}]`;
    if (sources === 0) errors.invalid(at, '', 'must specify one of: `configMapRef` or `secretRef`');
    else if (sources > 1) errors.invalid(at, '', 'may not have more than one field specified at a time');
  }
}

function validateLifecycle({ lifecycle = {} }: Container, field: string, errors: FieldErrors): void {
  for (const moment of ['postStart', 'preStop'] as const) {
    const handler = lifecycle[moment];
    if (handler === undefined) continue;
    const at = `${field}.lifecycle.${moment}`;
    if (Object.keys(handler).length === 0) errors.required(at, 'must specify a handler type');
    if (handler.exec !== undefined && (handler.exec.command ?? []).length === 0) errors.required(`${at}.exec.command`);
    if (handler.httpGet !== undefined) validateHttpGet(handler.httpGet, `${at}.httpGet`, errors);
  }
}

function validateEnv(variable: EnvVar, field: string, errors: FieldErrors): void {
  if (variable.name === undefined || variable.name === '') errors.required(`${field}.name`);
  else if (/[^ -<>-~]/.test(variable.name)) {
    errors.invalid(
      `${field}.name`,
      variable.name,
      "a valid environment variable name must consist only of printable ASCII characters other than '='",
    );
  }
  if (variable.valueFrom === undefined) return;
  for (const kind of ['configMapKeyRef', 'secretKeyRef'] as const) {
    const { key = '' } = variable.valueFrom[kind] ?? { key: 'none' };
    const at = `${field}.valueFrom.${kind}.key`;
    if (key === '') errors.required(at);
    else errors.invalidEach(at, key, configMapKey(key));
  }
  const sources = Object.keys(variable.valueFrom).length;
  if (sources === 0)
    errors.invalid(
      `${field}.valueFrom`,
      '',
      'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
    );
  else if (variable.value !== undefined && variable.value !== '') {
    errors.invalid(`${field}.valueFrom`, '', 'may not be specified when `value` is not empty');
  } else if (sources > 1)
    errors.invalid(`${field}.valueFrom`, '', 'may not have more than one field specified at a time');
}

function validateResources(container: Container, field: string, errors: FieldErrors): void {
  for (const kind of ['limits', 'requests'] as const) {
    for (const [name, text] of Object.entries(container.resources?.[kind] ?? {})) {
      const amount = parseQuantity(text);
      const at = `${field}.resources.${kind}[${name}]`;
      if (amount === undefined) errors.invalid(at, text, quantityMessage);
      else if (amount < 0) errors.invalid(at, text, 'must be greater than or equal to 0');
      const limit = parseQuantity(container.resources?.limits?.[name] ?? '');
      if (kind === 'requests' && amount !== undefined && limit !== undefined && amount > limit) {
        errors.invalid(
          `${field}.resources.requests`,
          text,
          `must be less than or equal to ${name} limit of ${container.resources?.limits?.[name]}`,
        );
      }
    }
  }
}

function validateProbe(probe: Probe, field: string, errors: FieldErrors): void {
  const handlers = ['exec', 'httpGet', 'tcpSocket', 'grpc'] as const;
  const [first, second] = handlers.filter((handler) => probe[handler] !== undefined);
  if (first === undefined) errors.required(field, 'must specify a handler type');
  if (second !== undefined) errors.forbidden(`${field}.${second}`, 'may not specify more than 1 handler type');
  if (probe.exec !== undefined && (probe.exec.command ?? []).length === 0) errors.required(`${field}.exec.command`);
  if (probe.httpGet !== undefined) validateHttpGet(probe.httpGet, `${field}.httpGet`, errors);
  if (probe.tcpSocket !== undefined) validatePortReference(probe.tcpSocket.port, `${field}.tcpSocket.port`, errors);
  if (probe.grpc !== undefined)
    errors.invalidEach(`${field}.grpc.port`, probe.grpc.port ?? 0, portNumber(probe.grpc.port ?? 0));
  for (const name of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const) {
    const value = probe[name] ?? 0;
    if (value < 0) errors.invalid(`${field}.${name}`, value, 'must be greater than or equal to 0');
  }
}

function validateHttpGet(action: HTTPGetAction, field: string, errors: FieldErrors): void {
  if (!action.path) errors.required(`${field}.path`);
  validatePortReference(action.port, `${field}.port`, errors);
  if (action.scheme !== 'HTTP' && action.scheme !== 'HTTPS') {
    errors.notSupported(`${field}.scheme`, action.scheme ?? '', ['HTTP', 'HTTPS']);
  }
}

function validatePortReference(port: number | string | undefined, field: string, errors: FieldErrors): void {
  if (typeof port === 'string') errors.invalidEach(field, port, ianaServiceName(port));
  else errors.invalidEach(field, port ?? 0, portNumber(port ?? 0));
}

const immutableMessage =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** A Pod's spec stays, but for images, the deadline, added tolerations, and gates until they are gone. */
export function validatePodUpdate(next: Pod, old: Pod, errors: FieldErrors): void {
  const stable = (spec: PodSpec | undefined) => {
    const {
      activeDeadlineSeconds: _,
      tolerations: __,
      schedulingGates: ___,
      nodeSelector: ____,
      ...rest
    } = spec ?? { containers: [] };
    const withoutImage = (containers: readonly Container[] | undefined) =>
      containers?.map((c) => ({ ...c, image: '' }));
    return canonicalJson({
      ...rest,
      containers: withoutImage(rest.containers),
      initContainers: withoutImage(rest.initContainers),
    });
  };
  const kept = (old.spec?.tolerations ?? []).every((was) =>
    (next.spec?.tolerations ?? []).some(
      (is) => canonicalJson({ ...is, tolerationSeconds: 0 }) === canonicalJson({ ...was, tolerationSeconds: 0 }),
    ),
  );
  validateDeadlineUpdate(next.spec?.activeDeadlineSeconds, old.spec?.activeDeadlineSeconds, errors);
  validateGatesUpdate(next.spec, old.spec, errors);
  if (!kept)
    errors.forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds');
  if (stable(next.spec) !== stable(old.spec)) errors.forbidden('spec', immutableMessage);
}

/** Gates may only go. While there are some, what chooses the node may be told more exactly. */
function validateGatesUpdate(next: PodSpec | undefined, old: PodSpec | undefined, errors: FieldErrors): void {
  const gates = (old?.schedulingGates ?? []).map(({ name }) => name);
  for (const { name } of next?.schedulingGates ?? []) {
    if (gates.includes(name)) continue;
    errors.forbidden('spec.schedulingGates', `only deletion is allowed, but found new scheduling gate '${name}'`);
  }
  const was = old?.nodeSelector ?? {};
  const is = next?.nodeSelector ?? {};
  if (gates.length === 0) {
    if (canonicalJson(is) !== canonicalJson(was)) errors.forbidden('spec', immutableMessage);
  } else if (Object.entries(was).some(([key, value]) => is[key] !== value)) {
    const problem = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)';
    errors.invalid('spec.nodeSelector', is, problem);
  }
}

/** A deadline may be set, and come nearer. */
function validateDeadlineUpdate(next: number | undefined, old: number | undefined, errors: FieldErrors): void {
  if (old === undefined) return;
  const field = 'spec.activeDeadlineSeconds';
  if (next === undefined) errors.invalid(field, null, 'must not update from a positive integer to nil value');
  else if (next > old) errors.invalid(field, next, 'must be less than or equal to previous value');
}
